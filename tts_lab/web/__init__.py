"""The web page: the lab for people without Jupyter, in a browser or from `gradio_client`.

`gradio` (extra `web`) is imported by `page` and `serve` alone; all else here works without it.
"""
