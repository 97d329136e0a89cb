"""What the server of the tests needs to know of kernels and datasets."""

import json
from hashlib import sha256

from tests.delivery.kaggle_server import USERNAME, KaggleServer

KERNEL = f"{USERNAME}/small-words"
DATASET = f"{USERNAME}/offline-words"
_KERNELS, _DATASETS = "kernels.KernelsApiService/", "datasets.DatasetApiService/"


class Kernels:
    """The service of kernels: `answer` is what a push is told, `states` what the next questions are told."""

    def __init__(self, server: KaggleServer) -> None:
        self.server = server
        self.saved: list[dict] = []
        self.answer: dict = {}
        self.states: list[dict] = [{"status": "COMPLETE"}]
        self.output: dict[str, bytes] = {}
        self.log = ""
        for method in ("SaveKernel", "GetKernelSessionStatus", "ListKernelSessionOutput"):
            server.routes[_KERNELS + method] = getattr(self, method)

    def SaveKernel(self, body, headers):  # noqa: N802
        self.saved.append(body)
        url = f"https://www.kaggle.com/code/{body['slug']}"
        return 200, {"ref": body["slug"], "url": url, "versionNumber": len(self.saved), **self.answer}

    def GetKernelSessionStatus(self, body, headers):  # noqa: N802
        if f"{body['userName']}/{body['kernelSlug']}" != KERNEL:
            return 403, {"error": {"code": 403, "message": "Permission 'kernels.get' was denied"}}
        return 200, self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def ListKernelSessionOutput(self, body, headers):  # noqa: N802
        names = sorted(self.output)
        first = int(body.get("pageToken") or 0)
        # Two a page, whatever is asked for.
        files = []
        for number, name in enumerate(names[first : first + 2], first):
            self.server.files[f"output-{number}"] = self.output[name]
            files.append({"url": f"http://localhost/storage/output-{number}?signature=planted", "fileName": name})
        more = str(first + 2) if first + 2 < len(names) else ""
        return 200, {"files": files, "nextPageToken": more, "log": self.log if not first else ""}

    def leave(self, **files: bytes) -> None:
        """Let the kernel have left what a session leaves, and `files` beside it."""
        self.output = {"submission.csv": b"fname,label\na.wav,yes\n", "runs/ast/confusion.png": b"\x89PNG", **files}
        sums = {name: sha256(data).hexdigest() for name, data in self.output.items()}
        self.output["results.json"] = json.dumps({"run": "ensemble", "sha256": sums}).encode()


class Datasets:
    """The service of datasets: `states` is what the next questions are told, once the dataset is there."""

    def __init__(self, server: KaggleServer) -> None:
        self.server = server
        self.versions: list[list[str]] = []  # names of the files
        self.states = ["READY"]
        self.error = ""
        self.lost: set[str] = set()
        for method in ("GetDatasetStatus", "CreateDataset", "CreateDatasetVersion", "ListDatasetFiles"):
            server.routes[_DATASETS + method] = getattr(self, method)

    def GetDatasetStatus(self, body, headers):  # noqa: N802
        if not self.versions:
            return 404, {"error": {"code": 404, "message": "Not found"}}
        return 200, {"status": self.states.pop(0) if len(self.states) > 1 else self.states[0]}

    def CreateDataset(self, body, headers):  # noqa: N802
        assert (body["ownerSlug"], body["slug"], body["isPrivate"]) == (USERNAME, "offline-words", True)
        return self.take(body["files"])

    def CreateDatasetVersion(self, body, headers):  # noqa: N802
        assert f"{body['ownerSlug']}/{body['datasetSlug']}" == DATASET
        return self.take(body["body"]["files"])

    def take(self, files):
        if self.error:
            return 200, {"status": "error", "error": self.error}
        asked = [request.body for request in self.server.asked("StartBlobUpload")]
        names = {f"blob-{number}": body["name"] for number, body in enumerate(asked, 1)}
        self.versions.append(sorted(names[file["token"]] for file in files))
        return 200, {"status": "ok", "url": "https://www.kaggle.com/x"}

    def ListDatasetFiles(self, body, headers):  # noqa: N802
        names = [name for name in self.versions[-1] if name not in self.lost]
        first = int(body.get("pageToken") or 0)
        files = [{"name": name, "totalBytes": 1} for name in names[first : first + 2]]
        return 200, {"datasetFiles": files, "nextPageToken": str(first + 2) if first + 2 < len(names) else ""}
