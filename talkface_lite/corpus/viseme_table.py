"""The numbers of the visemes, fitted to real mouths by ``scripts/fit_visemes.py``.

From 120 recordings of one speaker of GRID, s1 {cite}`cooke2006grid` (CC BY 4.0), as dlib saw them. The column
*seen* says how often a sound occurred; where it did not, it moves as its channel does. Closures were not
fitted: lips that close, close. The channels tongue and teeth move no landmark and are drawn by eye.
"""

#         kind         jaw  width round upper lower tongue teeth   before after (seconds)
FAMILIES = """
          rest         0.89  0.74  1     0.75  0.74  1.0   1.0   0.050  0.058
          vowel        1.1   0.45  1     5     5     1.0   1.0   0.109  0.091
          rounded      1.6   0.71  1.6   1.6   4.2   1.0   1.0   0.053  0.092
          bilabial     60    0.46  0.1   60    60    0.5   8     0.015  0.015
          labiodental  40    0.22  0.2   40    50    0.5   8     0.018  0.018
          dental       1.5   0.21  0.15  0.41  0.41  3     1.5   0.037  0.036
          alveolar     0.52  0.16  0.08  0.22  0.23  3     0.8   0.040  0.037
          sibilant     2.1   0.39  0.15  0.62  0.61  2     3     0.030  0.031
          palatal      1.9   0.82  1.5   2     2.1   1     3     0.035  0.035
          velar        0.28  0.077 0.08  0.08  0.08  0.4   0.2   0.036  0.035
          rhotic       3.5   0.69  1     0.48  0.49  0.8   0.4   0.043  0.049
          labiovelar   5.2   1.6   3     1.3   3.6   0.6   1     0.061  0.046
          breath       0.05  0.05  0.05  0.05  0.05  0.05  0.05  0.035  0.035
"""
"""Families of sounds: the strength of each channel, and the reach in seconds before and after."""
ANTICIPATED_ROUNDING = 0.13
"""Seconds of reach ahead of a rounded sound, on the channel rounding: lips round well before /u/ sounds."""

#         kind         jaw   width round upper lower tongue teeth seen  IPA
TARGETS = """
          rest         0.00  0.00  0.00  0.00  0.00  0     0     240   _
          bilabial     0.00  -0.51 0.00  -1.00 -0.40 0.1   0     61    p
          bilabial     0.00  -0.69 0.00  -1.00 -0.40 0.1   0     95    b
          bilabial     0.00  -0.09 0.00  -1.00 -0.40 0.1   0     2     m
          bilabial     0.00  0.00  0.00  -1.00 -0.40 0.1   0     0     ɱ ɸ
          labiodental  0.10  0.35  0.00  0.25  -1.00 0.1   0.8   33    f
          labiodental  0.10  0.23  0.00  0.25  -1.00 0.1   0.8   28    v
          labiodental  0.10  0.01  0.00  0.25  -1.00 0.1   0.8   0     ʋ
          dental       0.00  0.04  0.00  0.17  0.32  0.9   0.6   12    θ
          dental       0.00  -0.06 0.00  0.19  0.34  0.9   0.6   23    ð
          alveolar     0.29  0.13  0.00  0.10  0.23  0.8   0.4   129   t
          alveolar     0.19  -0.07 0.00  0.08  0.20  0.8   0.4   37    d
          alveolar     0.00  0.42  0.00  0.07  0.11  0.8   0.4   222   n
          alveolar     0.06  0.01  0.00  0.08  0.20  0.8   0.4   0     ɾ ɗ ʈ ɖ ɳ
          alveolar     0.00  -0.13 0.00  0.03  0.20  1.0   0.3   114   l
          alveolar     0.10  0.01  0.00  0.08  0.20  1.0   0.3   0     ɫ ɭ ʎ ɬ ɮ
          sibilant     0.07  0.29  0.00  0.40  0.58  0.5   0.9   149   s
          sibilant     0.00  0.12  0.00  0.23  0.50  0.5   0.9   40    z
          palatal      0.04  -0.01 0.33  0.78  0.98  0.4   0.7   0     ʃ ʒ ʂ ʐ ɕ ʑ
          palatal      0.16  0.22  0.30  0.66  0.99  0.6   0.7   6     tʃ
          palatal      0.14  -0.02 0.30  0.72  0.98  0.6   0.7   7     dʒ
          palatal      0.04  -0.01 0.30  0.70  0.98  0.6   0.7   0     tɕ dʑ tʂ dʐ
          velar        0.29  0.11  0.00  0.09  0.20  0.1   0.2   26    k
          velar        0.34  0.13  0.00  0.08  0.20  0.1   0.2   55    ɡ
          velar        0.10  0.00  0.00  0.08  0.20  0.1   0.2   0     g ŋ x ɣ q ɢ χ ʁ ç ɲ c ɟ
          rhotic       0.00  -0.39 0.27  -0.11 0.12  0.4   0.2   80    ɹ
          rhotic       0.08  -0.02 0.27  0.16  0.39  0.4   0.2   0     r ɻ ɽ ʀ
          rhotic       0.12  -0.01 0.21  0.16  0.29  0.3   0.2   0     ɚ ɝ
          labiovelar   0.00  0.08  0.60  -0.31 -0.59 0     0     70    w
          labiovelar   0.04  -0.06 0.60  0.00  0.00  0     0     0     ʍ ɥ β
          breath       0.12  0.00  0.00  0.00  0.00  0     0.1   0     h ɦ ʔ ħ ʕ ʜ
          vowel        0.26  0.03  0.00  0.28  0.31  0.6   0.40  13    j
          vowel        0.19  0.34  0.00  0.40  0.38  0.5   0.45  121   i
          vowel        0.14  0.12  0.00  0.36  1.00  0.4   0.35  272   ɪ
          vowel        0.12  0.05  0.00  0.16  0.29  0.4   0.35  0     ɨ
          vowel        0.11  0.24  0.00  0.36  1.00  0.3   0.35  84    e
          vowel        0.15  0.17  0.00  0.25  0.47  0.3   0.35  129   ɛ
          vowel        0.25  0.24  0.00  0.32  0.76  0.1   0.40  162   a
          vowel        0.29  0.04  0.00  0.31  0.59  0.1   0.40  0     æ
          vowel        0.18  -0.06 0.00  0.16  0.48  0     0.25  5     ɑ
          vowel        0.22  0.01  0.00  0.16  0.29  0.1   0.25  0     ʌ
          vowel        0.31  0.64  0.00  0.27  0.24  0.1   0.25  27    ɐ
          vowel        0.24  0.20  0.03  0.46  0.56  0.2   0.25  42    ə
          vowel        0.13  0.00  0.03  0.08  0.20  0.2   0.25  0     ɘ ɤ ɯ
          vowel        0.16  -0.01 0.15  0.16  0.29  0.2   0.20  0     ɜ ɞ
          rounded      0.12  0.18  0.21  0.20  0.35  0     0.10  12    ɒ
          rounded      0.07  0.10  0.39  -0.01 0.53  0     0.05  16    ɔ
          rounded      0.20  -0.03 0.39  0.08  0.20  0     0.05  0     œ
          rounded      0.17  -0.04 0.45  0.00  0.10  0     0.05  0     o ø ɵ
          rounded      0.00  0.71  0.42  0.17  -0.19 0     0.05  58    ʊ
          rounded      0.11  -0.04 0.42  0.00  0.10  0     0.05  0     ʏ
          rounded      0.00  0.70  0.60  0.71  0.33  0     0     85    u
          rounded      0.07  -0.06 0.60  0.00  0.00  0     0     0     ʉ y
"""
"""Where each channel goes for each sound; ``_`` is rest."""
