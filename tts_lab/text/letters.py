"""How a Mandarin speaker says the letters of the Latin alphabet.

The bundled voice knows only the sounds of Mandarin, so every letter is read with Mandarin syllables, as is usual in
speech: W is da-bu-liu, H is ei-chi. Where two habits exist the one made of syllables that the voice was taught is
taken (Q as 扣). No letter ends in a third tone, so that letters leave the tones around them alone.
"""

from __future__ import annotations

LETTERS: dict[str, tuple[str, ...]] = {
    "A": ("ei1",),
    "B": ("bi4",),
    "C": ("xi1",),
    "D": ("di4",),
    "E": ("yi4",),
    "F": ("ai2", "fu5"),
    "G": ("ji4",),
    "H": ("ei2", "chi5"),
    "I": ("ai4",),
    "J": ("jie4",),
    "K": ("kei4",),
    "L": ("ai2", "lou5"),
    "M": ("ai2", "mu5"),
    "N": ("en1",),
    "O": ("ou1",),
    "P": ("pi4",),
    "Q": ("kou4",),
    "R": ("a4", "er5"),
    "S": ("ai2", "si5"),
    "T": ("ti4",),
    "U": ("you1",),
    "V": ("wei1",),
    "W": ("da2", "bu5", "liu5"),
    "X": ("ai2", "ke5", "si5"),
    "Y": ("wai4",),
    "Z": ("zei4",),
}
