"""From Chinese text to phones: normalisation, word cutting, pinyin with tone sandhi, splitting."""
