"""The drawn corpus: voice → visemes → face → painter, with the truth of everything.

Start at :func:`talkface_lite.corpus.synthesis.draw_clip`.
"""
