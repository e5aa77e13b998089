"""The routes of the server: JSON over HTTP, as `examples/serve.md` describes it."""

from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lnfgen import __version__
from lnfgen.errors import LnfgenError, OutputError
from lnfgen.formats.page import piece_data, piece_facts
from lnfgen.formats.read_write import require_writer, to_bytes
from lnfgen.serving.asked import ACTIONS, Asked
from lnfgen.serving.drawing_queue import Drawing, TooManyError
from lnfgen.serving.event_stream import EventStream
from lnfgen.serving.json_fields import AskedWronglyError, Fields
from lnfgen.serving.page_files import INDEX, page_files
from lnfgen.serving.security import Guard
from lnfgen.serving.studio import BusyTakeError, Studio
from lnfgen.serving.takes import MAX_NAME, Take, UnknownTakeError
from lnfgen.serving.wish_list import offered_wishes
from lnfgen.wording import in_one_line

TAKES = "/api/takes"
FORMATS = {
    "mid": "audio/midi",
    "musicxml": "application/vnd.recordare.musicxml+xml",
    "wav": "audio/wav",
}
_STATUS = (  # of an error that a client gets, the first that fits
    (UnknownTakeError, 404),
    (BusyTakeError, 409),
    (TooManyError, 409),
    (OutputError, 500),
    (LnfgenError, 400),
)


def application(studio: Studio, *, token: str, host: str, port: int) -> Starlette:
    """The server's application.

    Args:
        token, host, port: what requests must name; see `security.Guard`.
    """
    api = Api(studio)
    guard = Middleware(Guard, token=token, host=host, port=port, file_paths=[TAKES])
    return Starlette(
        routes=[*_page_routes(), *api.routes()],
        middleware=[guard],
        exception_handlers={
            LnfgenError: _of_error,
            HTTPException: _of_http_error,
            Exception: _of_defect,
        },
    )


def _page_routes() -> list[Route]:
    """The routes of the page's files, which are read once."""
    files = page_files()

    def index(request: Request) -> Response:
        return _file_response(INDEX)

    def file(request: Request) -> Response:
        return _file_response(request.path_params["name"])

    def _file_response(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "the page has no file of that name")
        found = files[name]
        headers = {"cache-control": "no-cache"}
        return Response(found.content, media_type=found.media_type, headers=headers)

    return [Route("/", index), Route("/page/{name}", file)]


class Api:
    """What the routes below `/api` do."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def routes(self) -> list[Route]:
        """Each address with its method and what answers it."""
        table: list[tuple[str, str, Any]] = [
            ("GET", "/api/session", self.session),
            ("GET", TAKES, self.list_takes),
            ("POST", TAKES, self.open_take),
            ("GET", f"{TAKES}/{{take}}", self.show_take),
            ("PATCH", f"{TAKES}/{{take}}", self.change_take),
            ("DELETE", f"{TAKES}/{{take}}", self.remove_take),
            ("POST", f"{TAKES}/{{take}}/restore", self.restore_take),
            ("GET", f"{TAKES}/{{take}}/download", self.download_take),
            ("GET", "/api/drawings", self.list_drawings),
            ("POST", "/api/drawings", self.ask_for_drawing),
            ("GET", "/api/drawings/{drawing}", self.show_drawing),
            ("DELETE", "/api/drawings/{drawing}", self.cancel_drawing),
            ("GET", "/api/drawings/{drawing}/events", self.drawing_events),
        ]
        return [Route(path, answer, methods=[method]) for method, path, answer in table]

    def session(self, request: Request) -> Response:
        """The model, what it can do, and what is there at the start."""
        studio = self.studio
        encoding = studio.encoding
        wishes = offered_wishes(studio.run, studio.ranges.found)
        return JSONResponse(
            {
                "run": studio.run.name,
                "parts": list(encoding.roles),
                "time_signature": encoding.time_signature,
                "folder": str(studio.takes.path),
                "take": studio.first_take,
                "drawing": studio.first_drawing,
                "actions": list(ACTIONS),
                "wishes": [wish.to_json() for wish in wishes],
                "wishes_ready": studio.ranges.are_ready,
                "formats": _possible_formats(),
                "restore": True,
                "problems": studio.takes.problems,
                "version": __version__,
            }
        )

    def list_takes(self, request: Request) -> Response:
        """All takes, without their music."""
        return JSONResponse({"takes": [take.to_json() for take in self.studio.takes.all()]})

    async def open_take(self, request: Request) -> Response:
        """A new take of a file."""
        name = request.query_params.get("name", "")
        content = await request.body()
        take = await run_in_threadpool(self.studio.open, content, name)
        return JSONResponse(take.to_json(), 201)

    def show_take(self, request: Request) -> Response:
        """A take and its music."""
        take = self._take_of(request)
        shown = self.studio.takes.song(take.id).shown
        facts = piece_facts(shown, seed=take.settings.get("seed"))
        return JSONResponse({**take.to_json(), "piece": piece_data(shown), "facts": facts})

    async def change_take(self, request: Request) -> Response:
        """A take with another name, or with or without a star."""
        fields = Fields.of(await request.body())
        name = None
        if fields.has("name"):
            name = in_one_line(fields.text("name", most=MAX_NAME))
            if not name:
                raise AskedWronglyError("name: found nothing; expected a name")
        starred = fields.flag("starred")
        fields.end()
        key = request.path_params["take"]
        take = await run_in_threadpool(self.studio.takes.change, key, name=name, starred=starred)
        return JSONResponse(take.to_json())

    def remove_take(self, request: Request) -> Response:
        """Remove a take, which can be restored."""
        self.studio.remove(request.path_params["take"])
        return Response(status_code=204)

    def restore_take(self, request: Request) -> Response:
        """A take that was removed."""
        return JSONResponse(self.studio.takes.restore(request.path_params["take"]).to_json())

    def download_take(self, request: Request) -> Response:
        """The music of a take as a file."""
        take = self._take_of(request)
        kind = request.query_params.get("format", "mid")
        if kind not in FORMATS:
            raise AskedWronglyError(
                f"format: found {kind[:20]!r}; expected one of {', '.join(FORMATS)}"
            )
        song = self.studio.takes.song(take.id).song
        content = to_bytes(song, f".{kind}", title=take.name, drawn_name=take.action)
        headers = {"content-disposition": _attachment(take, kind)}
        return Response(content, media_type=FORMATS[kind], headers=headers)

    def list_drawings(self, request: Request) -> Response:
        """The drawing that is under way, and those that wait."""
        unfinished = self.studio.drawings.unfinished()
        return JSONResponse({"drawings": [drawing.to_json() for drawing in unfinished]})

    async def ask_for_drawing(self, request: Request) -> Response:
        """Have something drawn."""
        fields = Fields.of(await request.body())
        asked = Asked.of(fields, self.studio.encoding.roles)
        drawing = await run_in_threadpool(self.studio.ask, asked)
        return JSONResponse({"id": drawing.id}, 202)

    def show_drawing(self, request: Request) -> Response:
        """Where a drawing stands."""
        return JSONResponse(self._drawing_of(request).to_json())

    def cancel_drawing(self, request: Request) -> Response:
        """Cancel a drawing. What it has drawn already stays."""
        self.studio.drawings.cancel(self._drawing_of(request))
        return Response(status_code=204)

    async def drawing_events(self, request: Request) -> Response:
        """The events of a drawing, as they happen."""
        return EventStream(self.studio.drawings, self._drawing_of(request))

    def _take_of(self, request: Request) -> Take:
        return self.studio.takes.get(request.path_params["take"])

    def _drawing_of(self, request: Request) -> Drawing:
        key = request.path_params["drawing"]
        drawing = self.studio.drawings.get(key)
        if drawing is None:
            raise HTTPException(404, f"there is no drawing {key[:40]!r}, or it is long past")
        return drawing


def _possible_formats() -> list[str]:
    """The formats of files that can be written on this machine."""
    possible = []
    for kind in FORMATS:
        try:
            require_writer(f".{kind}")
        except LnfgenError:
            continue
        possible.append(kind)
    return possible


def _attachment(take: Take, kind: str) -> str:
    """The header by which a browser saves a file under the name of a take, which is any text."""
    name = in_one_line(take.name).replace("/", "-").replace("\\", "-").strip(". ") or take.id
    file = f"{name}.{kind}"
    plain = "".join(sign if sign.isalnum() or sign in " ,()-_." else "_" for sign in file)
    plain = plain.encode("ascii", "replace").decode("ascii").replace("?", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file, safe='')}"


async def _of_error(request: Request, error: Exception) -> Response:
    """The answer to what a person can mend."""
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    return JSONResponse({"error": str(error)}, status)


async def _of_http_error(request: Request, error: Exception) -> Response:
    """The answer to an address or a method that the server does not have."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def _of_defect(request: Request, error: Exception) -> Response:
    """The answer where lnfgen has a defect, which the server prints."""
    what = f"a defect of lnfgen, which the server has printed: {type(error).__name__}"
    return JSONResponse({"error": what}, 500)
