#!/usr/bin/env python3
"""Speaks every word of the keyword model with espeak-ng and packs the dry recordings into one folder.

Usage: make_data.py DIR [--jobs N]          needs: espeak-ng 1.51 or newer, Python 3.9, nothing else

The model's data are made here and nowhere else: no recording of a person is used. What is written:

  DIR/words.pcm   the recordings one after the other, 16-bit little-endian mono at 22050 Hz, as espeak-ng speaks them
  DIR/words.tsv   one line a recording: split, label, text, voice, pitch, speed, offset and length in samples

A recording stands in exactly one split, by who speaks it:

  train    accents and variants that the model learns from, and foreign voices that read respelled English
  dev      variants kept back to choose the checkpoint by
  test     TEST_ACCENTS and TEST_VARIANTS: never seen in training, nor in any choice. Three groups, told apart by the
           voice: a held-out variant with a trained accent, a trained variant with a held-out accent, both held out.

A voice is "accent+variant" in espeak-ng's own words. Variants that share a maker's name or settings (iven, iven2, ...)
stay in one split together, since they sound alike. The noise, rooms, band limits and shifts are added in augment.py.
"""
import argparse
import os
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor

SEED = 20260
RATE = 22050
COMMANDS = "zero one two three four five six seven eight nine yes no stop go".split()

# ---- who speaks -----------------------------------------------------------------------------------------------------
TRAIN_ACCENTS = ["en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-029"]
TEST_ACCENTS = ["en-gb-x-gbcwmd", "en-us-nyc"]

TEST_VARIANTS = ["f4", "m5", "m8", "Andy", "AnxiousAndy", "Annie", "Mario", "Michael", "Gene", "Gene2", "edward",
                 "edward2", "klatt3", "linda", "steph", "steph2", "steph3", "paul", "quincy", "Denis", "aunty", "zac",
                 "RicishayMax", "RicishayMax2", "RicishayMax3", "Hugo", "sandro", "boris"]
DEV_VARIANTS = ["m3", "belinda", "iven", "iven2", "iven3", "iven4", "robert", "Alex"]
TRAIN_VARIANTS = ["", "f1", "f2", "f3", "f5", "m1", "m2", "m4", "m6", "m7", "croak", "whisper", "whisperf", "adam",
                  "benjamin", "david", "klatt", "klatt2", "klatt4", "klatt5", "Alicia", "Andrea", "anika",
                  "anikaRobot", "announcer", "antonio", "Demonic", "Diogo", "ed", "fast", "grandma", "grandpa",
                  "gustave", "Henrique", "Jacky", "john", "kaukovalta", "Lee", "Marco", "marcelo", "max", "michel",
                  "miguel", "Mike", "Mr serious", "Nguyen", "norbert", "pablo", "pedro", "rob", "robosoft",
                  "robosoft2", "robosoft3", "robosoft4", "robosoft5", "robosoft6", "robosoft7", "robosoft8", "shelby",
                  "Storm", "travis", "Tweaky", "UniRobot", "victor"]
# Left out: caleb and klatt6, which sound the same as klatt to the last sample.

# ---- what they say --------------------------------------------------------------------------------------------------
# No homophone of a command (too, for, won, ate, know, whoa), and nothing that is said for one (oh, nought, yeah, nope).
UNKNOWN_TRAIN = """
on off show tree free hive dive live find fine mine line sign wine hero arrow narrow zoo heaven eleven lemon servant
fun run once gone wall want what do who new through blue shoe me see tea be key door more floor far form north sick fix
mix sit picks socks skip late wait gate age ace name rain made day yet less guess chess us best now low snow so note
nose not nor goat gold good grow toe boat top shop step stock start drop spot stuff up down left right left hello
computer music light lights lamp open close play pause volume kitchen garden window water winter summer monday tuesday
thursday friday sunday january april august house horse mouse cat dog bird happy marvin sheila bed back forward follow
learn visual please thanks thank morning evening night yellow green red orange purple black white ten twenty thirty
hundred thousand million first second third half number letter paper pencil table chair river mountain ocean city
street people person woman children father mother brother sister friend coffee butter bread apple banana sugar pepper
finger hand shoulder head body heart dream sleep travel machine engine motor battery signal channel network camera
picture morning weather thunder cloud sunshine question answer problem reason ever never always maybe perhaps under
over after before again enough because another different important language telephone hospital animal elephant
air arm art ask bad bag ball band bank bar base bath bean beer bell belt bill bike bite block blood board bone book born
boss bowl box boy brain brave break brick bridge brief bring brown brush bus bush buy cake call calm camp can cap car
card care case cash catch cause chain chance change charm cheap check cheese chin choose church clean clear clock cloth
coat cold cook cool corn cost count course cow crash cream cross crowd crown cry cup cut dance dark date dead deep desk
dish does done dot down doubt dress drink drive drum dry duck dust each ear earth easy edge egg else end eye face fact
fair fall false farm fast feel fence few field film fish flag flat flight flower fly fold food fool foot force forget
fork fox frame fresh frog front fruit full game gas gift glass goal gas grape grass great ground group guard guess gun
hair half hall ham hard hat have hear heavy help her hill hit hole home hope hot how huge ice iron job join joke jump
june july just keep kick kill kind king kiss knee knife lake land large last laugh law leaf leg lend let life like lip
list live load lock long look lord lose lot loud love luck lunch make man many map march mark meal mean meat meet men
milk mind miss moon most move much must nail neck need nest net news next noise noon nurse oil old once only orange oven
page pain pair park part pass past path pay peace phone piece pig pin pipe plan plane plant plate poor post pound press
price pull push quick quiet quite race rain read rest rice rich ride ring rise road rock roof room rope rose round rule
sad safe salt same sand save say school sea seat seed seem sell send sense set shade shake shape share sharp sheep sheet
shine ship shirt shoot short shout shut sick side sight silk sing sink size skin skirt slow small smart smell smile
smoke smooth snake soap soft soil some song soon sort sound soup south space speak speed spell spend spoon sport spring
square stage stairs stamp stand star stay steal steam steel stick still stone storm story straight strange street
strong such suit sweet swim switch take talk tall taste tax teach team tear tell tent test than that them then they
thick thin thing think this those throat thumb tie tight till tip tired toast touch toy track trade train tray trip
truck true trust truth try twelve twice uncle use van vase very view voice vote wake walk warm wash waste watch wave
way wear week well went wet wheel when where which while whole why wide wife wild wind wing wish with wolf wood wool word
work world worm write wrong year young your zip
""".split()
UNKNOWN_TRAIN = sorted(set(UNKNOWN_TRAIN))
UNKNOWN_TEST = """
wander weight ladder threat rocket shelf enter yard holiday thread repeat minute market bottle cancel planet factory
button library turn reset temper select wagon hour girl give ghost dinner winner violin museum bicycle pocket carpet
blanket doctor lawyer pilot farmer basket candle curtain mirror pillow hammer ticket wallet umbrella mushroom cabbage
carrot pumpkin rabbit tiger monkey dolphin penguin harbour village castle palace desert island forest valley
""".split()
# Words that begin as a command does, or differ from one by a sound or two: the hardest there are.
UNKNOWN_NEAR = """
nice time lion fire sky hide sticks fits seventh severed silver tooth tune throw fort fault fourth cereal zebra zoom
eighty nineteen ninety nun yesterday yell jest nod knob stomp stall stark
""".split()

# Voices of other languages that read English respelled in their own spelling: people with an accent say it much so.
FOREIGN = {
    "de": "siero wann tuh sri foor faif sicks sewwen eht nain jess noh stopp goh",
    "fr": "zirho ouane tou sri faure faïve sixe sévène eïte naïne yès nô stoppe gô",
    "nl": "ziro wan toe srie foor faaif siks sevven eet naain jes noo stop -",
    "es": "síro uán tu trí for faif six seven eit nain yes nou stop gou",
    "it": "sirou uan tu tri for faiv six seven eit nain ies no stop go",
    "pl": "ziroł łan tu sri for fajw syks sewen ejt najn jes noł stop goł",
    "sv": "siro uann to tri får fajv sicks sevven ejt najn jess nå stopp gå",
    "el": "ζίροου ουάν του θρι φορ φάιβ σιξ σέβεν έιτ νάιν γιες νόου στοπ γκόου",
    "hi": "ज़ीरो वन टू थ्री फ़ोर फ़ाइव सिक्स सेवन एट नाइन यस नो स्टॉप गो",
    "fi": "siirou uan tuu trii foor faiv siks seven eit nain jes nou stop gou",
    "hu": "zíró ván tú szrí fór fájv sziksz szeven éjt nájn jesz nó sztop gó",
}
# Made-up words, in espeak-ng's English phonemes: whatever is not a command is unknown, in a dictionary or not.
ONSETS = (2 * "- p b t d k g f v T D s z S h m n l r j w tS dZ ".split()
          + "p.r b.r t.r d.r k.r g.r f.r T.r p.l b.l k.l g.l f.l s.l s.t s.p s.k s.w s.t.r".split())
NUCLEI = "a A: E I i: 0 O: U u: V 3: aI eI OI oU aU i@ e@".split()
CODAS = "- - - p b t d k g f v T s z S m n N l tS dZ n.t n.d s.t k.s l.t m.p".split()
COMMAND_SOUNDS = [w.split(".") for w in """z.i@.r.oU z.i@.oU w.V.n t.u: T.r.i: f.O: f.aI.v s.I.k.s s.E.v.@.n s.E.v.n eI.t
n.aI.n j.E.s n.oU s.t.0.p g.oU""".split()]
FOREIGN_VARIANTS = ["", "f1", "f2", "f3", "f5", "m1", "m2", "m4", "m6", "m7", "klatt2", "klatt4", "anika", "pedro",
                    "Henrique", "Jacky", "max", "Nguyen", "rob", "shelby", "travis", "adam"]


def voice(accent, variant):
    return accent + ("+" + variant if variant else "")


def distance(a, b):
    """Sounds to change, add or drop to get from a to b (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        last, row[0] = row[0], i + 1
        for j, y in enumerate(b):
            last, row[j + 1] = row[j + 1], min(row[j] + 1, row[j + 1] + 1, last + (x != y))
    return row[-1]


def made_up(rng):
    """A word that does not exist, of one to three syllables, two sounds or more away from every command."""
    while True:
        sounds, n = [], rng.choice([1, 1, 2, 2, 3])
        stress = rng.randrange(n)
        for k in range(n):
            nucleus = rng.choice(NUCLEI if k == stress else NUCLEI + ["@"] * 9)
            for part in (rng.choice(ONSETS), nucleus, rng.choice(CODAS)):
                sounds += [(sound, k == stress and part == nucleus) for sound in part.split(".") if sound != "-"]
        plain = [part for part, _ in sounds]
        if len(plain) > 1 and min(distance(plain, c) for c in COMMAND_SOUNDS) > 1:
            return "[[" + "".join(("'" if stressed else "") + part for part, stressed in sounds) + "]]"


def plan():
    """Every recording to make: (split, label, text, voice, pitch, speed). The same list each time."""
    rng = random.Random(SEED)
    rows = []

    def say(split, label, text, who, plain=False):
        # Punctuation changes the melody; whom nobody asks speaks at espeak-ng's own pitch (50) and speed (175).
        text += "" if plain or text[0] == "[" else rng.choice(["", "", ".", "!", "?", ","])
        pitch = 50 if plain else rng.randint(5, 95)
        speed = 175 if plain else int(110 * (2.3 ** rng.random()))
        rows.append((split, label, text, who, pitch, speed))

    for accent in TRAIN_ACCENTS:
        for variant in TRAIN_VARIANTS:
            for word in COMMANDS:
                for k in range(4):
                    say("train", word, word, voice(accent, variant), k == 0)
            for word in rng.sample(UNKNOWN_TRAIN, 40) + [made_up(rng) for _ in range(20)]:
                say("train", "unknown", word, voice(accent, variant))
        for variant in DEV_VARIANTS:
            for word in COMMANDS + ["unknown"]:
                say("dev", word, word if word != "unknown" else rng.choice(UNKNOWN_TRAIN), voice(accent, variant))
    for language, spelling in FOREIGN.items():
        for variant in FOREIGN_VARIANTS:
            for word, text in zip(COMMANDS, spelling.split()):
                for k in range(4 if text != "-" else 0):
                    say("train", word, text, voice(language, variant))
            for word in rng.sample([w for w in UNKNOWN_TRAIN if len(w) > 4], 12):
                say("train", "unknown", word, voice(language, variant))
    for accent in TRAIN_ACCENTS + TEST_ACCENTS:
        for variant in TEST_VARIANTS + (TRAIN_VARIANTS if accent in TEST_ACCENTS else []):
            for word in COMMANDS:
                say("test", word, word, voice(accent, variant), rng.random() < 0.5)
            for _ in range(2):
                say("test", "unknown", rng.choice(UNKNOWN_TEST), voice(accent, variant))
            say("test", "unknown", rng.choice(UNKNOWN_NEAR), voice(accent, variant))
    return rows


def speak(row):
    _, _, text, who, pitch, speed = row
    wav = subprocess.run(["espeak-ng", "-v", who, "-p", str(pitch), "-s", str(speed), "--stdout", text],
                         check=True, stdout=subprocess.PIPE).stdout
    at = wav.index(b"data") + 8  # the length that follows is not known when espeak-ng writes to a pipe
    assert int.from_bytes(wav[24:28], "little") == RATE, "espeak-ng speaks at another rate than 22050 Hz"
    return wav[at:at + (len(wav) - at) // 2 * 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dir")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    os.makedirs(args.dir, exist_ok=True)
    rows, at = plan(), 0
    with open(os.path.join(args.dir, "words.pcm"), "wb") as pcm, \
            open(os.path.join(args.dir, "words.tsv"), "w", encoding="utf-8") as tsv, \
            ThreadPoolExecutor(args.jobs) as pool:
        for first in range(0, len(rows), 1000):
            for row, samples in zip(rows[first:first + 1000], pool.map(speak, rows[first:first + 1000])):
                pcm.write(samples)
                print(*row, at, len(samples) // 2, sep="\t", file=tsv)
                at += len(samples) // 2
            print(f"\r{min(first + 1000, len(rows))} of {len(rows)} recordings", end="", flush=True)
    print()


if __name__ == "__main__":
    main()
