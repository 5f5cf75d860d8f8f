# ruff: noqa: RUF001, SIM905 - words of many languages, in lists that are read as words
"""Names: countries, industries, interests, hashtags, captions, titles. Text only; nothing here is drawn."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Country:
    """A country: ISO code, GeoNames id, English name, share of the world's posts (in thousandths), language."""

    code: str
    geonames_id: str
    name: str
    weight: float
    language: str


_COUNTRIES = """
AD 3041565 Andorra 0.1 es
AE 290557 United Arab Emirates 8 ar
AF 1149361 Afghanistan 0.5 ar
AL 783754 Albania 1.5 en
AM 174982 Armenia 1 en
AO 3351879 Angola 1.5 pt
AR 3865483 Argentina 18 es
AT 2782113 Austria 5 de
AU 2077456 Australia 16 en
AZ 587116 Azerbaijan 3 tr
BA 3277605 Bosnia and Herzegovina 1.5 en
BD 1210997 Bangladesh 22 en
BE 2802361 Belgium 7 fr
BG 732800 Bulgaria 4 en
BH 290291 Bahrain 1.5 ar
BO 3923057 Bolivia 4 es
BR 3469034 Brazil 72 pt
BY 630336 Belarus 3 ru
CA 6251999 Canada 22 en
CH 2658434 Switzerland 5 de
CL 3895114 Chile 12 es
CO 3686110 Colombia 24 es
CR 3624060 Costa Rica 3 es
CY 146669 Cyprus 0.8 en
CZ 3077311 Czechia 5 en
DE 2921044 Germany 34 de
DK 2623032 Denmark 4 en
DO 3508796 Dominican Republic 6 es
DZ 2589581 Algeria 12 ar
EC 3658394 Ecuador 9 es
EE 453733 Estonia 0.8 en
EG 357994 Egypt 28 ar
ES 2510769 Spain 24 es
FI 660013 Finland 3 en
FR 3017382 France 34 fr
GB 2635167 United Kingdom 40 en
GE 614540 Georgia 2 en
GH 2300660 Ghana 5 en
GR 390903 Greece 5 en
GT 3595528 Guatemala 6 es
HK 1819730 Hong Kong 4 zh
HN 3608932 Honduras 4 es
HR 3202326 Croatia 2 en
HU 719819 Hungary 5 en
ID 1643084 Indonesia 95 id
IE 2963597 Ireland 4 en
IL 294640 Israel 5 en
IQ 99237 Iraq 20 ar
IS 2629691 Iceland 0.3 en
IT 3175395 Italy 26 it
JM 3489940 Jamaica 1.5 en
JO 248816 Jordan 4 ar
JP 1861060 Japan 34 ja
KE 192950 Kenya 9 en
KG 1527747 Kyrgyzstan 2 ru
KH 1831722 Cambodia 8 en
KR 1835841 South Korea 15 ko
KW 285570 Kuwait 3 ar
KZ 1522867 Kazakhstan 10 ru
LA 1655842 Laos 3 th
LB 272103 Lebanon 3 ar
LK 1227603 Sri Lanka 5 en
LT 597427 Lithuania 1.2 en
LU 2960313 Luxembourg 0.4 fr
LV 458258 Latvia 0.9 ru
MA 2542007 Morocco 12 ar
MD 617790 Moldova 1.2 ru
ME 3194884 Montenegro 0.5 en
MK 718075 North Macedonia 1 en
MM 1327865 Myanmar 14 en
MN 2029969 Mongolia 2 en
MO 1821275 Macao 0.6 zh
MT 2562770 Malta 0.4 en
MU 934292 Mauritius 0.6 en
MX 3996063 Mexico 56 es
MY 1733045 Malaysia 22 id
NA 3355338 Namibia 0.6 en
NG 2328926 Nigeria 18 en
NI 3617476 Nicaragua 2.5 es
NL 2750405 Netherlands 10 en
NO 3144096 Norway 3.5 en
NP 1282988 Nepal 6 en
NZ 2186224 New Zealand 3 en
OM 286963 Oman 2 ar
PA 3703430 Panama 2.5 es
PE 3932488 Peru 18 es
PH 1694008 Philippines 48 en
PK 1168579 Pakistan 38 en
PL 798544 Poland 14 en
PR 4566966 Puerto Rico 2 es
PT 2264397 Portugal 6 pt
PY 3437598 Paraguay 4 es
QA 289688 Qatar 2.2 ar
RO 798549 Romania 9 en
RS 6290252 Serbia 4 en
RU 2017370 Russia 30 ru
SA 102358 Saudi Arabia 28 ar
SE 2661886 Sweden 6 en
SG 1880251 Singapore 4 en
SI 3190538 Slovenia 1 en
SK 3057568 Slovakia 2.5 en
SN 2245662 Senegal 2 fr
SV 3585968 El Salvador 3 es
TH 1605651 Thailand 40 th
TN 2464461 Tunisia 5 ar
TR 298795 Turkey 34 tr
TT 3573591 Trinidad and Tobago 0.8 en
TW 1668284 Taiwan 6 zh
TZ 149590 Tanzania 4 en
UA 690791 Ukraine 12 ru
UG 226074 Uganda 2.5 en
US 6252001 United States 135 en
UY 3439705 Uruguay 2 es
UZ 1512440 Uzbekistan 10 ru
VE 3625428 Venezuela 10 es
VN 1562822 Vietnam 66 vi
ZA 953987 South Africa 14 en
ZM 895949 Zambia 1.5 en
ZW 878675 Zimbabwe 1.2 en
"""

# First-level industries of hashtags; the ids are these numbers, in billions.
_INDUSTRIES = {
    10: "Education",
    11: "Vehicle & Transportation",
    12: "Baby, Kids & Maternity",
    13: "Financial Services",
    14: "Beauty & Personal Care",
    15: "Tech & Electronics",
    17: "Travel",
    18: "Household Products",
    19: "Pets",
    21: "Home Improvement",
    22: "Apparel & Accessories",
    23: "News & Entertainment",
    24: "Business Services",
    25: "Games",
    26: "Life Services",
    27: "Food & Beverage",
    28: "Sports & Outdoor",
    29: "Health",
}

# Which industry the hashtags of a first-level product category are in.
INDUSTRY_OF_CATEGORY = {
    "601450": 14,
    "601152": 22,
    "824328": 22,
    "802184": 12,
    "601352": 22,
    "824584": 22,
    "605248": 22,
    "953224": 22,
    "601303": 22,
    "700437": 27,
    "700645": 29,
    "601739": 15,
    "601755": 15,
    "600942": 18,
    "600001": 18,
    "600024": 18,
    "600154": 18,
    "604453": 21,
    "604968": 21,
    "604579": 21,
    "605196": 11,
    "603014": 28,
    "604206": 12,
    "602284": 12,
    "602118": 19,
    "801928": 23,
    "951432": 23,
    "834312": 25,
}

_HASHTAGS = {
    10: "studytok booktok studywithme examseason learnontiktok mathhacks englishlesson languagelearning "
    "teachertok uni lawschool medschool studymotivation backtoschool spellingbee historytok sciencetok "
    "campuslife exchangestudent homeschool",
    11: "cartok carsoftiktok cardetailing supercars motovlog bikelife jdm evlife roadtripcar truckdriver "
    "mechanic drifting carmeet formula1 newcar tesla offroad vanconversion caraudio learnertok",
    12: "momtok toddlermom babytok pregnancytok newborn momlife dadlife kidsactivities babyshower twins "
    "schoolrun toysoftiktok lunchboxideas firsttimemom weaning playroom nurserydecor familyvlog siblings",
    13: "personalfinance budgeting stocktok sidehustle cashstuffing creditscore savingchallenge frugalliving "
    "investing101 passiveincome taxseason debtfree cryptonews moneytips fintok retirement",
    14: "beautytok makeuptutorial skincareroutine glassskin perfumetok scentoftheday fragrancecollection "
    "vanillaperfume smellgood nailart pressons grwm hairtok curlyhair lipcombo cleangirlmakeup lashes "
    "browlamination sunscreen retinol koreanskincare everythingshower blushblindness perfume hairgrowth",
    15: "techtok gadgets desksetup pcbuild iphonetips smarthome mechanicalkeyboard aitools coding appreview "
    "androidtips unboxing techreview 3dprinting cameragear ces2026 robotics homelab earbuds",
    17: "traveltok solotravel japantrip bali europetrip hiddengems airportoutfit packwithme flightattendant "
    "vanlife cruise backpacking roadtrip hotelreview traveltips citybreak visitportugal winterescape camino",
    18: "cleantok homehacks amazonfinds restock laundrytok sundayreset kitchenfinds organization fridgerestock "
    "tiktokmademebuyit dollartree ikeahacks airfryer candletok declutter deepclean pantryrestock",
    19: "dogsoftiktok catsoftiktok puppytok kitten goldenretriever petsoftiktok catmom rescuedog hamstertok "
    "aquascaping horsetok parrot bunny dogtraining vettok funnycats frenchbulldog reptiles petgrooming",
    21: "diyhome homerenovation roommakeover ikeahack gardening apartmenttour interiordesign woodworking "
    "bathroomremodel plantsoftiktok thriftflip smallspaces houseplants homedecor tinyhouse paintideas",
    22: "ootd fashiontok outfitinspo thrifthaul streetwear sneakerhead capsulewardrobe hijabstyle "
    "datenightoutfit winteroutfit jewelrytok vintagefashion weddingdress handbags quietluxury y2kfashion "
    "plussizefashion menswear whatiwore closettour mobwife",
    23: "moviereview kpop kdrama anime manga redcarpet celebritynews oscars2026 grammys2026 filmtok popculture "
    "fyp viral vlog comedy prank storytime duet lipsync dancechallenge superbowl halftimeshow trailer netflixseries "
    "concert bookadaptation edit",
    24: "smallbusiness packorders etsyseller entrepreneurlife marketingtips shopsmall womeninbusiness startuplife "
    "ecommerce dropshipping productivity worklife 9to5 corporate remotework linkedintips",
    25: "gamingontiktok minecraft roblox fortnite simstok mobilelegends freefire valorant cozygames pcgaming "
    "speedrun genshinimpact switch2 gta6 streamer boardgames retrogaming leagueoflegends",
    26: "2026 weddingtok movingout thatgirl morningroutine dayinmylife citylife housetour adulting datingadvice "
    "weekendvlog nightshift therapy firefighter nursesoftiktok valentinesday valentinesgift galentines "
    "newyearreset christmasgifts christmastree summervibes beachday",
    27: "foodtok recipes mealprep airfryerrecipes baking matcha coffeetok streetfood mukbang highprotein "
    "bentobox sourdough dubaichocolate cottagecheese easydinner vegan bubbletea spicynoodles charcuterie "
    "desserttok snacktok cakedecorating",
    28: "gymtok runtok couchto5k marathontraining 5kchallenge runningcommunity pilates homeworkout ufc boxing "
    "football basketball tennis skitok surfing hiking yoga crossfit ufc324 paddypimblett justingaethje "
    "seanomalley paddythebaddy gaethje championsleague winterolympics cycling climbing golfswing",
    29: "wellness mentalhealth guthealth weightloss adhdtok sleephygiene proteinfirst meditation hormonehealth "
    "vitamins selfcare skincareover40 perimenopause physio drtok dentist coldplunge breathwork stretching",
}

LANGUAGE_HASHTAGS = {
    "th": "สตอรี่ความรู้สึก ของดีบอกต่อ รีวิวบิวตี้ ใช้ดีบอกต่อ อาหารไทย ตลกๆ แต่งบ้าน สายกิน ฟีดดดシ",
    "ar": "الامارات السعودية مصر العراق عطور مكياج ترند اكسبلور وصفات ازياء تصويري المغرب",
    "ja": "おすすめ コスメ紹介 購入品 日本食 ダンス 推し活 猫のいる暮らし 弁当 ファッション",
    "ko": "추천 브이로그 먹방 뷰티 일상 케이팝 데일리룩",
    "zh": "推薦 美食 穿搭 日常 開箱 貓咪 台灣 香港",
    "ru": "рек рекомендации рецепты макияж ремонт юмор мода котики",
    "vi": "xuhuong ẩmthực làmđẹp thờitrang giảitrí mẹvàbé học đồgiadụng",
    "tr": "keşfet makyaj yemektarifleri moda istanbul öneriler dekorasyon",
    "es": "parati recetas maquillaje moda humor futbol mexico españa perfumes",
    "pt": "foryoubrasil receitas maquiagem modafeminina humorbrasil perfumaria futebolbrasileiro",
    "id": "masukberanda racunshopee resepmasakan skincarelokal hijabtutorial lucu parfumlokal",
    "fr": "pourtoi recettes maquillage mode bonplan humour parfumfemme",
    "de": "fürdich rezepte dm_haul haushaltstipps lustig reisetipps",
    "it": "perte ricette trucco modadonna ridere cucinaitaliana",
    "en": "foryou foryoupage trending xyzbca",
}

# The interests of hashtag and sound audiences (diversify_ ids); the ones in the documented answers are in place.
INTERESTS = {
    "10001": "Lip-Sync",
    "10002": "Dance",
    "10003": "Music & Instruments",
    "10004": "Scripted Drama",
    "10006": "Comedy",
    "10007": "Magic",
    "10009": "Singing",
    "10011": "Other Talent",
    "10013": "Painting & Crafts",
    "10014": "Graphic Art",
    "10016": "DIY & Handcrafts",
    "10018": "Makeup",
    "10019": "Nail Art",
    "10020": "Skincare",
    "10021": "Hair",
    "10022": "Perfume & Fragrance",
    "10024": "Outfits",
    "10025": "Shoes & Bags",
    "10026": "Jewelry",
    "10028": "Cooking",
    "10029": "Food Display",
    "10030": "Mukbangs & Tasting",
    "10031": "Drinks",
    "10033": "Home & Garden",
    "10034": "Cleaning & Organizing",
    "10036": "Cats",
    "10037": "Dogs",
    "10038": "Other Animals",
    "10040": "Travel",
    "10041": "Scenery & Plants",
    "10043": "Cars, Trucks & Motorcycles",
    "10045": "Movies & TV",
    "10046": "Anime & Comics",
    "10048": "Celebrity Clips",
    "10049": "Entertainment News",
    "10051": "Video Games",
    "10053": "Tech Reviews",
    "10054": "Software & Apps",
    "10056": "Science",
    "10058": "Extreme Sports",
    "10059": "Traditional Sports",
    "10060": "Sports News",
    "10061": "Fitness",
    "10064": "Fishing, Hunting & Camping",
    "10066": "Babies",
    "10067": "Family",
    "10069": "Romance",
    "10070": "Diary & Vlog",
    "10071": "School Education",
    "10073": "Selfies",
    "10075": "Health & Wellness",
    "10076": "Mental Health",
    "10078": "Finance",
    "10079": "Business & Careers",
    "10081": "Street Interviews & Social Experiments",
    "10083": "Books",
}
FAVOURED_INTERESTS = {
    10: ("10071", "10056", "10083"),
    11: ("10043", "10053", "10064"),
    12: ("10066", "10067", "10016"),
    13: ("10078", "10079", "10054"),
    14: ("10018", "10020", "10022", "10019", "10021"),
    15: ("10053", "10054", "10051"),
    17: ("10040", "10041", "10070"),
    18: ("10034", "10033", "10028"),
    19: ("10036", "10037", "10038"),
    21: ("10033", "10016", "10034"),
    22: ("10024", "10025", "10026"),
    23: ("10045", "10049", "10048", "10006"),
    24: ("10079", "10078", "10070"),
    25: ("10051", "10046", "10053"),
    26: ("10070", "10067", "10069"),
    27: ("10028", "10029", "10030", "10031"),
    28: ("10058", "10059", "10060", "10061"),
    29: ("10075", "10076", "10061"),
}

# The interests of product audiences: second-level ad industries (label_ ids), three in each industry.
AD_INTERESTS = {
    10: ("Language Learning", "Test Preparation", "Higher Education"),
    11: ("Car Accessories", "New Cars", "Motorcycles"),
    12: ("Baby Care", "Toys", "Maternity"),
    13: ("Credit Cards", "Investing", "Insurance"),
    14: ("Perfume", "Skincare", "Makeup", "Hair Care"),
    15: ("Phone Accessories", "Computers", "Audio"),
    17: ("Hotels", "Flights", "Sightseeing"),
    18: ("Cleaning Supplies", "Kitchenware", "Home Textiles"),
    19: ("Pet Food", "Pet Grooming", "Pet Toys"),
    21: ("Furniture", "Lighting", "Gardening"),
    22: ("Womenswear", "Menswear", "Jewelry", "Shoes"),
    23: ("Films", "Music", "Books"),
    24: ("Marketing", "Logistics", "Recruiting"),
    25: ("Mobile Games", "Console Games", "Board Games"),
    26: ("Weddings", "Beauty Salons", "Local Services"),
    27: ("Snacks", "Drinks", "Restaurants"),
    28: ("Fitness Equipment", "Sportswear", "Camping"),
    29: ("Supplements", "Dental Care", "Sleep"),
}

CAPTIONS = {
    "en": (
        "wait for the end",
        "I was today years old when I found out about this",
        "{thing}: my honest review after 30 days",
        "POV: you said no more {thing}",
        "3 things I wish I knew about {thing}",
        "don't buy {thing} before you watch this!!",
        "small haul, big feelings",
        "testing {thing} from my feed, day 12",
        'my mum said "not another video about {thing}"',
    ),
    "es": ("no puede ser 😱", "lo que nadie te cuenta", "¿quién más lo necesita?", "reseña honesta: {thing}"),
    "pt": ("gente, olha isso", "testei por 7 dias e…", "achadinho do dia: {thing}", "não acreditei no preço"),
    "id": ("bulan ini racun banget", "jujur kaget sama hasilnya", "spill {thing} yang lagi viral", "cobain dulu ya"),
    "th": ("ของมันต้องมี", "ลองแล้วชอบมาก", "รีวิวแบบไม่อวย", "ใครเป็นแบบนี้บ้าง"),
    "ar": ("جربته لمدة أسبوع", "لا تشترون قبل ما تشوفون الفيديو", "رأيكم؟", "أفضل شي اشتريته هالسنة"),
    "ja": ("買ってよかったもの", "これ知ってた？", "正直レビューします", "朝のルーティン"),
    "ko": ("내돈내산 솔직후기", "이거 나만 몰랐어?", "오늘의 추천템"),
    "zh": ("真心推薦", "大家覺得呢？", "開箱給你看"),
    "de": ("das hätte ich gern früher gewusst", "ehrlicher Test: {thing}", "wer kennt's?"),
    "fr": ("je ne m'en passe plus", "avis honnête : {thing}", "attendez la fin…"),
    "it": ("non ci credevo nemmeno io", "provato per voi: {thing}", "aspettate la fine"),
    "tr": ("bunu bilmeyen kalmasın", "dürüst yorumum", "sonuna kadar izleyin"),
    "ru": ("честный отзыв", "смотрите до конца", "кто ещё не пробовал?"),
    "vi": ("review thật lòng", "ai cũng nên có một cái", "xem hết nhé"),
}
EMOJI = ("😂", "✨", "😍", "🔥", "🥹", "💅", "🐶", "🛒", "👀", "🇧🇷", "❤️", "🤷🏽‍♀️", "🎁")
FORMULAS = ("=link in bio, go!", "@bestie look at this", "+1 if you agree", "-50% today only", "=) finally here")

FIRST_NAMES = (
    "mia leo noor ana sofia putri dewi rangga linh minh yuki haru mina jun omar layla fatima yusuf zeynep emre "
    "lucas bia joao camila diego valeria ines marco giulia chloe hugo lena finn olga ivan amara kofi thabo zola "
    "ploy nan tala miguel grace ruby jack ella sam alex taylor casey riley"
).split()
HANDLE_WORDS = (
    "beauty daily finds reviews shop home vibes official tok diary world studio kitchen fit gadget life love "
    "club corner picks deals style lab hub"
).split()

TITLE_FIRST = (
    "Golden Midnight Paper Velvet Slow Electric Silver Lonely Sugar Neon Broken Summer Winter Hollow Crystal "
    "Tokyo Desert Ocean Little Endless Sweet Burning Quiet Plastic Cherry Lucky"
).split()
TITLE_SECOND = (
    "Hour Drive Hearts Rain Letters Dreams Fever Signal Garden Motion Echo Sunrise Static Lullaby Bloom Mirage "
    "Anthem Shadows Satellite Parade Whisper Skyline Ritual Carousel Tide"
).split()
TITLES = {
    "th": ("รักเธอ", "ฝนตกไหม", "ใจบาง"),
    "ar": ("يا ليل", "حبيبي", "قلبي"),
    "ja": ("夜に走る", "花びら", "青い夏"),
    "ko": ("별빛", "너에게", "봄날"),
    "ru": ("Мой город", "Зима"),
    "es": ("La Noche", "Corazón de Fuego", "Bailando Sola"),
    "pt": ("Vem Dançar", "Saudade de Verão"),
    "vi": ("Mưa Rơi", "Em Của Ngày Ấy"),
    "tr": ("Gece Mavisi", "Kalbim"),
    "id": ("Rindu Semalam", "Cinta Pertama"),
}
ARTIST_FIRST = (
    "Mira Jonas Kaya Aurora Nico Ravi Elif Sora Luca Freya Dante Imani Niko Celeste Tariq Juno Saoirse Bruno"
).split()
ARTIST_LAST = (
    "Solène Okafor Lindqvist Vega Tanaka Moreau Haddad Petrov Silva Rahman Novak Castellanos Kim Adeyemi Weiss"
).split()


@cache
def countries() -> dict[str, Country]:
    """Return the countries by ISO code."""
    found = {}
    for line in filter(None, _COUNTRIES.splitlines()):
        code, geonames_id, *name, weight, language = line.split()
        found[code] = Country(code, geonames_id, " ".join(name), float(weight), language)
    return found


@cache
def country_codes() -> tuple[str, ...]:
    """Return the ISO codes; the place of each is part of the ids of videos."""
    return tuple(countries())


@cache
def industries() -> tuple[int, ...]:
    """Return the numbers of the industries."""
    return tuple(_INDUSTRIES)


def industry_info(industry: int) -> dict[str, object]:
    """Return an industry as the answers have it."""
    identifier = industry * 1_000_000_000
    return {"id": identifier, "value": _INDUSTRIES[industry], "label": f"label_{identifier}"}


def industry_number(identifier: int) -> int:
    """Return the number of an industry's id, or 0 where there is no such industry."""
    number, rest = divmod(identifier, 1_000_000_000)
    return number if rest == 0 and number in _INDUSTRIES else 0


@cache
def hashtags(industry: int) -> tuple[str, ...]:
    """Return the hashtags of an industry."""
    return tuple(_HASHTAGS[industry].split())


@cache
def industry_of_hashtag() -> dict[str, int]:
    """Return the industry of each hashtag the world has a name for."""
    return {name: industry for industry in _HASHTAGS for name in hashtags(industry)}


@cache
def language_hashtags(language: str) -> tuple[str, ...]:
    """Return the hashtags of a language."""
    return tuple(normalized(name) for name in LANGUAGE_HASHTAGS[language].split())


@cache
def language_of_hashtag() -> dict[str, str]:
    """Return the language of each hashtag that has one."""
    return {name: language for language in LANGUAGE_HASHTAGS for name in language_hashtags(language)}


def normalized(name: str) -> str:
    """Return a hashtag in the form it is known by: NFC, lower case."""
    return unicodedata.normalize("NFC", name.strip()).lower()
