"""Experiments of the lab: what it measures about itself and about the systems it runs.

| to | open |
|---|---|
| count errors between what was to be said and what was heard | `scoring.py` |
| hear speech with a recogniser, or rate how it sounds | `judges.py` (extra `judges`) |
| measure a voice, sentence by sentence | `quality.py` |
| lay the figures out as a table | `quality_table.py` |
"""
