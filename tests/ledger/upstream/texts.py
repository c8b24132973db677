"""Texts in several languages, and in code, from which prompts and answers are made."""

from __future__ import annotations

from random import Random

SENTENCES: dict[str, tuple[str, ...]] = {
    "english": (
        "The committee will meet again on Thursday to decide about the new library.",
        "Most of the water in the valley comes from melting snow, and it is cold even in July.",
        "He had expected a short answer, but the letter went on for eleven pages.",
        "Please compare both offers and tell me which one is cheaper over five years.",
        "An index speeds up reading at the price of slower writes and more space on disk.",
        "The train was late, so we walked along the river until it was dark.",
    ),
    "german": (
        "Die Sitzung wurde auf kommenden Donnerstag verschoben, weil zwei Mitglieder fehlten.",
        "Das Wasser im Tal stammt zum größten Teil aus der Schneeschmelze.",
        "Bitte vergleichen Sie beide Angebote und nennen Sie mir das günstigere.",
    ),
    "chinese": (
        "委员会将于星期四再次开会，决定新图书馆的事宜。",
        "请比较这两个方案，并告诉我哪一个更便宜。",
        "火车晚点了，所以我们沿着河边散步。",
    ),
    "hindi": ("समिति गुरुवार को फिर मिलेगी और नए पुस्तकालय के बारे में फैसला करेगी।", "कृपया दोनों प्रस्तावों की तुलना करें।"),
    "arabic": (
        "ستجتمع اللجنة مرة أخرى يوم الخميس لاتخاذ قرار بشأن المكتبة الجديدة.",
        "يرجى مقارنة العرضين وإخباري أيهما أرخص.",
    ),
    "code": (
        "def total(items):\n    return sum(item.price * item.count for item in items)\n",
        'for name, value in sorted(counts.items()):\n    print(f"{name:>20} {value:8,d}")\n',
        "SELECT model, count(*), avg(latency_ms) FROM calls GROUP BY model ORDER BY 2 DESC;\n",
    ),
}

# How often each language is spoken.
WEIGHTS = {"english": 70, "german": 8, "chinese": 6, "hindi": 4, "arabic": 4, "code": 8}


def random_language(random: Random) -> str:
    return random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]


def random_text(random: Random, language: str, sentences: int) -> str:
    return " ".join(random.choice(SENTENCES[language]) for _ in range(sentences))
