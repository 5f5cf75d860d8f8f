"""Write docs/data-dictionary.md from the declarations: python docs/make_dictionary.py."""  # noqa: INP001 - a script

from pathlib import Path

from keyapi_research.dictionary import page

PAGE = Path(__file__).with_name("data-dictionary.md")

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
