"""Make the models in the box: `python examples/pretrained.py chorales`, or `folk-abc`, or `band`.

The data of `band` are two folders of files that come with no package; `--data` names them.

A model is trained by its recipe below, into `--run`. A run that is there already is not trained
again, and one that was interrupted goes on. Then the folder `--out` gets all that the package
keeps: the weights in half precision, settings, dataset manifest, curves, and the card with figures.
These are measured with the stored weights, by `lnfgen eval --nll` on valid and test, and by `lnfgen
compare` or `abc_share.py` on samples. The model in the box is replaced at the end, whole.
"""

import argparse
import dataclasses
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from abc_share import tune_shares
from model_card import Card, card_page

import lnfgen
from lnfgen.conventions import SPLITS
from lnfgen.data.dataset import is_dataset
from lnfgen.data.named import NAMED
from lnfgen.files import write_bytes, write_text
from lnfgen.pretrained import BOX
from lnfgen.runs.checkpoint import read_tensors, serialise
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.listing import overview, run_facts
from lnfgen.runs.naming import is_run
from lnfgen.serving.wish_ranges import FILE, ranges_of, write_ranges
from lnfgen.training.recipes import Corpus
from lnfgen.training.run_settings import asked_for

MAX_BYTES = 4_000_000
_SCORES = (
    "nll",
    "elbo",
    "reconstruction",
    "kl",
    "sounding_nll",
    "marginal_nll",
    "samples",
    "sequences",
    "steps",
)
_COPIED = ("config.json", "metrics.jsonl")


# What is known of datasets that have no name in lnfgen, as of those in `NAMED`.
FOLDERS = {
    "freedoom-midi": {
        "description": "songs for bands, of the game project Freedoom and of its history",
        "size": "320 files, of which some are versions of one song",
        "source": "github.com/freedoom/freedoom, the folder musics in all of its versions",
        "citation": "Contributors to the Freedoom project, 2001-2024",
        "licence": "BSD 3-clause, Contributors to the Freedoom project",
    }
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The settings that a model is trained with, and the words of its card.

    Attributes:
        dataset: the name of a dataset, or that of the first of the folders that `--data` names.
        settings: arguments of `lnfgen.train`.
    """

    dataset: str
    settings: dict[str, Any]
    makes: str
    use: str
    intended_use: str
    limits: tuple[str, ...]


RECIPES = {
    "chorales": Recipe(
        dataset="chorales",
        settings={
            "preset": "small",
            "seed": 1,
            "max_steps": 800,
            "set": {
                "model.dropout": 0.3,
                "model.usual_temperature": 0.775,
                "training.keep": "best",
                "training.calibration_rounds": 48,
            },
        },
        makes="chorales in four voices, after Bach's",
        use="lnfgen sample chorales --out song.mid",
        intended_use=(
            "A first song, before anything is trained: to listen, to look, to try the commands "
            "with. For music of your own kind, train on your own files."
        ),
        limits=(
            "It knows one kind of music: hymn tunes in four voices, in eighths, up to 34 bars, "
            "without words.",
            "Samples have one tempo and no dynamics. Most are in 4/4, as the training data, the "
            "others in 3/4; of 3/2 it has seen two chorales, of 12/8 one.",
            "It makes mistakes that Bach does not make; the figures under Music say how many.",
            "A sample may repeat a few bars of a chorale; the longest such copy is given under "
            "Music.",
        ),
    ),
    "band": Recipe(
        dataset="freedoom-midi",
        settings={
            "preset": "small",
            "seed": 1,
            "max_steps": 4500,
            "set": {"training.calibration_rounds": 28},
        },
        makes="songs for drums, bass, chords and melody",
        use="lnfgen sample band --bars 16 --out song.mid",
        intended_use=(
            "Songs to begin from, and a band for your own: drums to a song without them, a bass, "
            "chords under a melody. For music of your own kind, train on your own files."
        ),
        limits=(
            "It knows one kind of music: songs for an action game, most of them in 4/4 and in "
            "minor, in sixteenths, as stretches of at most 16 bars.",
            "A part has four octaves, one instrument and the usual velocities of each place in a "
            "bar.",
            "Most songs of the data have no melody for most of the time, and so have samples.",
            "Figures beside the data, under Music, say where samples still differ from it.",
        ),
    ),
    "folk-abc": Recipe(
        dataset="folk-abc",
        settings={
            "model": "lstm",
            "preset": "small",
            "seed": 1,
            "max_steps": 3050,
            "set": {
                "model.hidden_size": 224,
                "model.dropout": 0.3,
                "training.learning_rate": 3e-3,
                "training.cooldown_start": 0.6,
            },
        },
        makes="Irish and American dance tunes, as ABC text",
        use="lnfgen sample folk-abc --out tune.abc && lnfgen convert tune.abc tune.mid",
        intended_use=(
            "Tunes to play, and an example of a text model. "
            "For texts of your own kind, train on your own files."
        ),
        limits=(
            "It writes ABC text up to 640 characters: a title that it has made up, time "
            "signature, unit, key, and notes with their bars and repeats. It has no slurs, "
            "ornaments or chord symbols.",
            "Not every sample can be read as music, and some have a bar that is too long or too "
            "short; the figures under Tunes say how many. The length is drawn first, so a sample "
            "may break off in its last bar.",
            "A sample may repeat parts of a tune that it was trained on.",
        ),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument(
        "--run", type=Path, help="run folder to train into, or that is trained (runs/NAME-boxed)"
    )
    parser.add_argument("--out", type=Path, help="folder of the boxed model (where lnfgen has it)")
    parser.add_argument(
        "--data", type=Path, nargs="+", help="folders of the data, where it has no name"
    )
    parser.add_argument("--samples", type=int, default=50, help="K of the NLL (50)")
    parser.add_argument(
        "--count", type=int, default=200, help="samples for the figures of music or tunes (200)"
    )
    given = parser.parse_args()
    try:
        path = given.run or Path("runs") / f"{given.name}-boxed"
        run = trained(RECIPES[given.name], path, given.data)
        fill_box(given.name, run, given.out or BOX / given.name, given.samples, given.count)
    except lnfgen.LnfgenError as error:
        raise SystemExit(f"error: {error}") from None


def trained(recipe: Recipe, path: Path, folders: list[Path] | None = None) -> RunFolder:
    """The run of a recipe at this path, which is trained as far as it is not yet.

    The dataset of some folders is beside it.

    Raises:
        LnfgenError: if a run is there that was trained by other settings or on another dataset, or
            folders are needed that are not given.
    """
    if not is_run(path):
        source: str | Path = recipe.dataset
        if recipe.dataset in FOLDERS:
            source = path.with_name(f"{path.name}-data")
            if not is_dataset(source):
                lnfgen.preprocess(_given(folders, recipe), out=source)
        lnfgen.train(source, out=path, progress=_progress, **recipe.settings)
    run = RunFolder(path)
    wrong = _wrong_keys(recipe, run)
    if run.dataset["name"] != recipe.dataset:
        wrong.append("dataset")
    if wrong:
        raise lnfgen.LnfgenError(
            f"{path} is not of the recipe: found another {' and '.join(wrong)}; "
            f"name another --run, or change RECIPES in {Path(__file__).name}"
        )
    if overview([path])[0]["state"] != "finished":
        lnfgen.train(out=path, resume=True, progress=_progress)
    return run


def _given(folders: list[Path] | None, recipe: Recipe) -> list[Path]:
    """The folders of the data, which must be given."""
    if not folders:
        source = FOLDERS[recipe.dataset]["source"]
        raise lnfgen.LnfgenError(
            f"found no --data; expected the folders of {recipe.dataset}, which come with no "
            f"package ({source})"
        )
    return folders


def _wrong_keys(recipe: Recipe, run: RunFolder) -> list[str]:
    """The keys of a run's configuration that have other values than the recipe gives."""
    encoding = run.encoding
    train = run.dataset["splits"]["train"]
    corpus = Corpus(
        encoding.kind,
        has_onsets=encoding.kind == "music",
        num_sequences=train["sequences"],
        num_steps=train["steps"],
        num_parts=len(encoding.roles),
    )
    expected = asked_for(**recipe.settings).config(corpus).flat()
    return [key for key, value in run.config.flat().items() if value != expected[key]]


def fill_box(name: str, run: RunFolder, out: Path, samples: int, count: int) -> None:
    """Write the boxed folder of a run.

    It is measured in a temporary folder; then each file is put in its place.
    """
    with tempfile.TemporaryDirectory() as temporary:
        boxed = Path(temporary) / name
        pack(run, boxed)
        if run.encoding.kind == "music":
            # The dataset is on hardly any machine where `lnfgen serve` offers its ranges.
            write_ranges(boxed / FILE, ranges_of(run))
        card = measured(name, boxed, _dataset_of(run), samples, count)
        write_text(boxed / "card.json", json.dumps(card, indent=1, ensure_ascii=False) + "\n")
        write_text(boxed / "card.md", card_page(card))
        out.mkdir(parents=True, exist_ok=True)
        for file in boxed.iterdir():
            write_bytes(out / file.name, file.read_bytes())
    print(out)


def _dataset_of(run: RunFolder) -> list[Path]:
    """What names the dataset of a run for a command: nothing if lnfgen finds it by its name."""
    if run.dataset["name"] in NAMED:
        return []
    return [Path(run.dataset["path"])]


def pack(run: RunFolder, folder: Path) -> None:
    """Copy what sampling and scoring need of a run.

    float32 becomes float16; the length model's float64 stays.

    Raises:
        LnfgenError: if the weights are too many, or too large for half precision.
    """
    folder.mkdir()
    for file in _COPIED:
        shutil.copy(run.path / file, folder)
    manifest = dict(run.dataset)
    for key in ("sources", "skipped"):
        manifest.pop(key, None)
    # The place of the dataset on this machine says nothing on another one, where it is found by its
    # name.
    manifest["path"] = run.dataset["name"]
    write_text(folder / "dataset.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    write_bytes(folder / "model.safetensors", _halved_weights(run.path))


def _halved_weights(run: Path) -> bytes:
    """The content of `model.safetensors` in half precision."""
    weights = read_tensors(run / "model.safetensors")
    for key, value in weights.items():
        if value.dtype == torch.float32:
            weights[key] = value.half()
        if not weights[key].isfinite().all():
            raise lnfgen.LnfgenError(
                f"{run} holds weights above 65504, which half precision does not have"
            )
    content = serialise(weights)
    if len(content) > MAX_BYTES:
        raise lnfgen.LnfgenError(
            f"{run}: {len(content):,} bytes of weights; expected at most {MAX_BYTES:,}"
        )
    return content


def measured(name: str, boxed: Path, dataset: list[Path], samples: int, count: int) -> Card:
    """The content of `card.json`: what the model is, and its figures with the stored weights.

    `dataset` names the dataset for a command, if it must be named.
    """
    recipe = RECIPES[name]
    run = RunFolder(boxed)
    facts = run_facts(boxed)
    scores: dict[str, dict[str, Any]] = {}
    for split in ("valid", "test"):
        found = printed("eval", boxed, *dataset, "--nll", "--samples", samples, "--split", split)
        scores[split] = {key: found[key] for key in _SCORES if found.get(key) is not None}
    card: Card = {
        "name": name,
        "makes": recipe.makes,
        "dataset": recipe.dataset,
        "use": recipe.use,
        "intended_use": recipe.intended_use,
        "limits": list(recipe.limits),
        "kind": run.encoding.kind,
    }
    for key in ("model", "backbone", "transform", "emission", "parameters"):
        card[key] = facts[key]
    card["updates"] = facts["steps"]
    card["bytes"] = (boxed / "model.safetensors").stat().st_size
    card["data"] = _facts_of_data(recipe.dataset, run)
    card["unit"] = run.encoding.unit
    card["exact"] = run.config.model.baseline
    card["scores"] = scores
    if run.encoding.kind == "music":
        music = printed("compare", boxed, *dataset, "--count", count)
        for key in ("model", "dataset", "run"):
            music.pop(key, None)
        card["music"] = music
    elif recipe.dataset == "folk-abc":
        card["tunes"] = tune_shares(lnfgen.load(boxed), count, temperature=1.0, seed=0)
    card["recipe"] = recipe.settings
    card["lnfgen"] = lnfgen.__version__
    card["torch"] = torch.__version__.split("+")[0]
    rounded: Card = _rounded(card)
    return rounded


def _facts_of_data(dataset: str, run: RunFolder) -> dict[str, Any]:
    """The description and the sizes of the dataset on which a run was trained."""
    known = FOLDERS.get(dataset) or vars(NAMED[dataset])
    facts: dict[str, Any] = {}
    for key in ("description", "size", "source", "citation", "licence"):
        facts[key] = known[key]
    facts["splits"] = {}
    for split in SPLITS:
        counts = run.dataset["splits"][split]
        facts["splits"][split] = {key: counts[key] for key in ("sequences", "steps")}
    return facts


def printed(*args: object) -> dict[str, Any]:
    """Return the object that `lnfgen ARGS --json` prints."""
    command = [sys.executable, "-m", "lnfgen", *args, "--json"]
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE)
    if done.returncode:
        raise SystemExit(done.returncode)  # the command has said what is wrong
    values: dict[str, Any] = json.loads(done.stdout)
    return values


def _rounded(value: Any) -> Any:
    """A value whose floats, at any depth of dictionaries, have four decimals."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, float):
        return round(value, 4)
    return value


def _progress(step: int, total: int, figures: dict[str, float]) -> None:
    if step % 100 == 0 or step == total:
        print(f"update {step:,} of {total:,}: ELBO {figures['elbo']:.3f}", file=sys.stderr)


if __name__ == "__main__":
    main()
