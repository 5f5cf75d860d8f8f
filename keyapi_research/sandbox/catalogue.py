"""The catalogue of product categories: three levels, the same in every world."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from keyapi_research.sandbox import chance

# First level: "= id name". Second level: "- name: third level; third level; ...". Ids that are not written here
# are derived from the names; the written ones are documented, or public names of the upstream's filters.
_TEXT = """
= 601450 Beauty & Personal Care
- 848648 Makeup & Perfume: 601583 Perfume; Body Mist; Lipstick & Lip Gloss; Foundation; Mascara; Eyeshadow; Blush
- Makeup Tools: Makeup Brushes; Makeup Sets; Makeup Mirrors; Makeup Bags
- Skincare: Face Serum; Sunscreen; Moisturizers; Facial Cleansers; Face Masks; Eye Cream; Lip Care; Acne Patches
- Hair Care: Shampoo & Conditioner; Hair Oil; Wigs & Extensions; Hair Dryers; Curling Irons; Hair Dye
- Bath & Body Care: Body Lotion; Body Wash; Bath Bombs; Deodorant; Hand Cream
- Nail Care: Press-On Nails; Nail Polish; Nail Lamps; Nail Art Decorations
- Oral Care: Toothbrushes; Teeth Whitening; Mouthwash
- Men's Grooming: Beard Care; Electric Shavers; Razors; Men's Skincare
= 601152 Womenswear
- Women's Tops: Women's T-Shirts; Blouses & Shirts; Knitwear; Women's Hoodies; Bodysuits; Camisoles & Tanks
- Women's Bottoms: Women's Jeans; Leggings; Skirts; Women's Trousers; Women's Shorts
- Dresses: Casual Dresses; Evening Dresses; Maxi Dresses; Wedding Dresses
- Lingerie: Bras; Women's Briefs; Shapewear; Lingerie Sets
- Women's Outerwear: Women's Coats; Women's Jackets; Blazers
- Women's Sleepwear: Pyjama Sets; Robes; Nightdresses
= 824328 Menswear
- Men's Tops: Men's T-Shirts; Polo Shirts; Men's Shirts; Men's Hoodies; Men's Sweaters
- Men's Bottoms: Men's Jeans; Cargo Trousers; Men's Shorts; Joggers
- Men's Outerwear: Men's Coats; Bomber Jackets; Down Jackets
- Men's Underwear: Boxers; Men's Socks; Undershirts
- Men's Suits: Suit Jackets; Waistcoats; Formal Trousers
= 802184 Kids' Fashion
- Girls' Clothing: Girls' Dresses; Girls' Sets; Girls' Tops
- Boys' Clothing: Boys' Sets; Boys' T-Shirts; Boys' Trousers
- Kids' Shoes: Kids' Sneakers; Kids' Sandals; School Shoes
- Kids' Accessories: Kids' Hats; Kids' Bags; School Backpacks
= 601352 Shoes
- Women's Shoes: Heels; Women's Flats; Women's Sandals; Women's Boots; Women's Sneakers
- Men's Shoes: Men's Sneakers; Men's Boots; Loafers; Men's Sandals
- Shoe Accessories: Insoles; Shoe Cleaners; Shoelaces
= 824584 Luggage & Bags
- Women's Bags: Tote Bags; Crossbody Bags; Clutches; Women's Backpacks
- Men's Bags: Messenger Bags; Men's Wallets; Waist Packs
- Luggage & Travel: Suitcases; Packing Cubes; Travel Pouches
- Functional Bags: Laptop Bags; Gym Bags; Lunch Bags
= 605248 Fashion Accessories
- Jewellery: Necklaces; Earrings; Bracelets; Rings; Anklets
- Eyewear: Sunglasses; Reading Glasses; Blue Light Glasses
- Watches: Women's Watches; Men's Watches; Watch Straps
- Hair Accessories: Hair Clips; Headbands; Scrunchies
- Clothes Accessories: Belts; Scarves; Hats & Caps; Gloves; Winter Warmers
= 953224 Fine Jewelry
- Gold & Silver: Gold Necklaces; Silver Rings; Gold Bracelets
- Diamonds & Gemstones: Engagement Rings; Moissanite; Gemstone Pendants
- Pearls & Jade: Pearl Necklaces; Jade Bangles
= 601303 Muslim Fashion
- Hijabs: Instant Hijabs; Square Hijabs; Hijab Pins
- Women's Islamic Clothing: Abayas; Kaftans; Prayer Sets
- Men's Islamic Clothing: Thobes; Koko Shirts; Sarongs
= 700437 Food & Beverages
- Drinks: Instant Coffee; Matcha; Bubble Tea Kits; Energy Drinks; Herbal Tea; Sparkling Water
- Snacks: Crisps; Dried Fruit; Nuts; Jerky; Seaweed Snacks; Freeze-Dried Candy
- Confectionery: Chocolate Gift Boxes; Gummies; Chocolate Bars; Lollipops
- Staples & Cooking: Hot Sauce; Honey; Instant Noodles; Spices; Olive Oil; Rice
- Baking: Cake Mixes; Edible Decorations; Baking Chocolate
- Fresh & Frozen: Frozen Meals; Fresh Fruit; Seafood
= 700645 Health
- Food Supplements: Collagen; Protein Powder; Multivitamins; Probiotics; Creatine; Sleep Aids
- Medical Supplies: Posture Correctors; Thermometers; First Aid Kits; Pain Relief Patches
- Personal Health: Eye Massagers; Neck Massagers; Blood Pressure Monitors
- Weight Management: Slimming Tea; Meal Replacements
= 601739 Phones & Electronics
- Phone Accessories: Phone Cases; Chargers; Power Banks; Screen Protectors; Phone Holders; Ring Lights
- Audio & Video: Earbuds; Bluetooth Speakers; Headphones; Karaoke Microphones; Projectors
- Cameras & Photography: Instant Cameras; Tripods; Action Cameras; Drones
- Smart & Wearable Devices: Smart Watches; Fitness Bands; Smart Glasses
- Gaming & Consoles: Game Controllers; Handheld Consoles; Gaming Headsets
- Phones & Tablets: Smartphones; Tablets; Refurbished Phones
= 601755 Computers & Office Equipment
- Computer Accessories: Keyboards; Computer Mice; Mouse Pads; Laptop Stands; Webcams
- Storage & Network: USB Drives; Hard Drives; Wi-Fi Routers
- Computers: Laptops; Mini PCs; Monitors
- Office & Stationery: Notebooks; Pens; Planners; Label Printers; Desk Organizers; Stickers
= 600942 Household Appliances
- Kitchen Appliances: Air Fryers; Blenders; Coffee Machines; Rice Cookers; Ice Makers; Electric Kettles
- Cleaning Appliances: Vacuum Cleaners; Robot Vacuums; Steam Cleaners; Carpet Cleaners
- Climate Appliances: Fans; Humidifiers; Space Heaters; Air Purifiers
- Laundry Appliances: Garment Steamers; Lint Removers; Mini Washing Machines
= 600001 Home Supplies
- Home Decor: Wall Stickers; Candles; LED Strip Lights; Artificial Flowers; Photo Frames; Rugs; Sunset Lamps
- Home Organizers: Storage Boxes; Shoe Racks; Hangers; Drawer Dividers
- Cleaning Supplies: Mops; Cleaning Sprays; Laundry Detergent; Sponges; Toilet Brushes
- Festive & Party Supplies: Balloons; Gift Wrap; Party Decorations; Greeting Cards
- Bathroom Supplies: Shower Heads; Bath Mats; Soap Dispensers
= 600024 Kitchenware
- Cookware: Frying Pans; Woks; Baking Tins; Pots
- Drinkware: Tumblers; Mugs; Water Bottles; Wine Glasses
- Kitchen Tools: Vegetable Choppers; Knives; Food Storage; Kitchen Scales; Spice Racks
- Tableware: Plates; Cutlery; Chopsticks
= 600154 Textiles & Soft Furnishings
- Bedding: Duvet Covers; Pillows; Blankets; Mattress Toppers; Weighted Blankets
- Curtains & Cushions: Curtains; Cushions; Sofa Covers
- Household Textiles: Towels; Table Cloths; Quilts
= 604453 Furniture
- Indoor Furniture: Desks; Gaming Chairs; Bookshelves; Vanity Tables; Sofas; Bed Frames
- Outdoor Furniture: Garden Chairs; Hammocks
- Commercial Furniture: Office Chairs; Display Racks
= 604968 Home Improvement
- Lighting: Ceiling Lights; Desk Lamps; Solar Lights; Night Lights
- Building Supplies: Wallpaper; Peel & Stick Tiles; Paint
- Garden Supplies: Planters; Seeds; Garden Hoses; Artificial Grass
- Security & Safety: Door Locks; Security Cameras; Video Doorbells
= 604579 Tools & Hardware
- Power Tools: Cordless Drills; Pressure Washers; Angle Grinders
- Hand Tools: Screwdriver Sets; Tape Measures; Tool Boxes
- Hardware: Adhesives; Hooks; Cable Ties
= 605196 Automotive & Motorcycle
- Car Accessories: Car Organizers; Phone Mounts; Car Air Fresheners; Seat Covers; Steering Wheel Covers
- Car Care: Car Wash Kits; Car Vacuums; Scratch Removers
- Car Electronics: Dash Cams; Jump Starters; Car Chargers
- Motorcycle: Helmets; Motorcycle Gloves; Motorcycle Lights
= 603014 Sports & Outdoor
- Fitness: Resistance Bands; Dumbbells; Yoga Mats; Walking Pads; Jump Ropes; Massage Guns
- Sportswear: Sports Bras; Running Shoes; Gym Leggings; Cycling Clothing; Football Shirts
- Swim & Surf: Swimsuits; Goggles; Paddle Boards
- Camping & Hiking: Tents; Sleeping Bags; Camping Lights; Cool Boxes; Hiking Boots
- Ball Sports: Basketballs; Footballs; Pickleball Paddles; Tennis Rackets
- Winter Sports: Ski Goggles; Ski Gloves
- Fishing: Fishing Rods; Lures
= 604206 Toys & Hobbies
- Dolls & Plush: Plush Toys; Dolls; Blind Boxes; Squishy Toys
- Games & Puzzles: Board Games; Card Games; Jigsaw Puzzles; Magic Cubes
- Building Toys: Building Blocks; Model Kits; Marble Runs
- Sports & Outdoor Play: Bubble Machines; Water Guns; Trampolines
- Educational Toys: Science Kits; Montessori Toys; Drawing Tablets
- DIY & Craft: Diamond Painting; Slime; Beads; Crochet Kits; Air-Dry Clay
- Musical Instruments: Ukuleles; Kalimbas; Electric Pianos
= 602284 Baby & Maternity
- Baby Care: Nappies; Baby Wipes; Baby Skincare; Baby Monitors
- Feeding: Baby Bottles; Bibs; Breast Pumps; High Chairs
- Baby Travel: Pushchairs; Baby Carriers; Car Seats
- Baby Clothing: Rompers; Baby Shoes; Swaddles
- Maternity: Maternity Dresses; Pregnancy Pillows; Nursing Bras
= 602118 Pet Supplies
- Dog & Cat Food: Dog Treats; Cat Treats; Wet Cat Food; Dry Dog Food
- Pet Care: Pet Grooming Tools; Pet Shampoo; Flea Treatment
- Pet Furniture: Cat Trees; Dog Beds; Pet Stairs
- Pet Toys & Gear: Cat Toys; Dog Toys; Leashes; Pet Carriers; Pet Clothes
- Litter & Cleaning: Cat Litter; Litter Boxes; Pee Pads
- Aquarium & Small Pets: Fish Tanks; Hamster Cages; Bird Feeders
= 801928 Books, Magazines & Audio
- Literature & Arts: Novels; Poetry; Manga; Romance Books
- Children's Books: Picture Books; Activity Books; Colouring Books
- Education & Self-Help: Self-Help Books; Language Courses; Cookbooks; Journals
- Audio & Video: Vinyl Records; Audiobooks
= 951432 Collectibles
- Trading Cards: Character Cards; Sports Cards; Card Sleeves
- Figures & Models: Anime Figures; Diecast Cars; Designer Toys
- Coins & Stamps: Coins; Stamps
- Entertainment Merchandise: K-Pop Albums; Photocards; Posters; Light Sticks
= 834312 Virtual Products
- Top-Up & Vouchers: Gift Cards; Game Credits; Mobile Top-Up
- Digital Goods: E-Books; Templates; Online Courses; Presets
"""

_ID_DIGITS = 6
L1, L2, L3 = "l1", "l2", "l3"


@dataclass(frozen=True)
class Category:
    """One category: where it stands in the tree.

    ``index`` is its place among all categories, ``path`` its ancestors from the first level down to itself.
    """

    index: int
    id: str
    name: str
    level: str
    parent_id: str | None
    path: tuple[tuple[str, str], ...]

    @property
    def l1_id(self) -> str:
        """Id of its first-level category."""
        return self.path[0][0]

    @property
    def slug(self) -> str:
        """Name as it stands in an address: ``Makeup-Perfume``."""
        return "-".join(word for word in (part.strip("&,") for part in self.name.split()) if word)

    @property
    def stem(self) -> str:
        """Name as a hashtag: ``makeupperfume``."""
        return "".join(letter for letter in self.name.lower() if letter.isalnum())

    def blocks(self) -> dict[str, Any]:
        """Return its ``*_ecom_category`` objects; those below its level are missing."""
        found: dict[str, Any] = {}
        parent = None
        for which, (identifier, name) in zip(("first", "second", "third"), self.path, strict=False):
            block = {"id": identifier, "label": f"category_{identifier}", "value": name}
            if parent is not None:
                block["parent_id"] = parent
            found[f"{which}_ecom_category"] = block
            parent = identifier
        return found


@cache
def categories() -> tuple[Category, ...]:
    """Return all categories, each after the one it belongs to."""
    found: list[Category] = []
    used = {word for line in _TEXT.splitlines() for word in line.split() if word.isdigit() and len(word) == _ID_DIGITS}

    def add(text: str, level: str, parent: Category | None) -> Category:
        head, _, rest = text.strip().partition(" ")
        path = parent.path if parent is not None else ()
        if head.isdigit():
            identifier, name = head, rest
        else:
            name = text.strip()
            identifier = _derived_id(used, *(step for _, step in path), name)
        category = Category(
            len(found), identifier, name, level, parent.id if parent else None, (*path, (identifier, name))
        )
        found.append(category)
        return category

    first: Category | None = None
    for line in filter(None, _TEXT.splitlines()):
        mark, text = line[0], line[2:]
        if mark == "=":
            first = add(text, L1, None)
        else:
            name, _, leaves = text.partition(":")
            second = add(name, L2, first)
            for leaf in leaves.split(";"):
                add(leaf, L3, second)
    return tuple(found)


def _derived_id(used: set[str], *names: str) -> str:
    attempt = 0
    while True:
        identifier = str(800_000 + chance.number("category", attempt, *names) % 190_000)
        if identifier not in used:
            used.add(identifier)
            return identifier
        attempt += 1


@cache
def by_id() -> dict[str, Category]:
    """Return the categories by id."""
    return {category.id: category for category in categories()}


@cache
def by_name(name: str) -> Category:
    """Return the deepest category of this name."""
    return max((c for c in categories() if c.name == name), key=lambda c: c.level)


@cache
def by_stem() -> dict[str, Category]:
    """Return the categories by the hashtag their name makes; of those with one name, the deepest and first."""
    found = sorted(categories(), key=lambda category: (category.level, -category.index))
    return {category.stem: category for category in found}
