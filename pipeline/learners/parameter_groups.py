"""Groups of weights for an optimiser: smaller steps for the lower layers of a trained encoder."""

from typing import Any

from torch import nn

from pipeline.errors import PipelineError

STACKS = ("layers", "layer", "blocks", "stages")  # as transformers and timm call them


def parameter_groups(
    model: nn.Module, decayed: set[str], learning_rate: float, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Return an optimiser's groups: the rate falls by the factor `layer_decay` from each layer to the one below it.

    As discriminative fine-tuning does (Howard and Ruder 2018, section 3.2). What comes after the layers has the whole
    `learning_rate`, what comes before them the smallest. `decayed` are the names of the weights that have
    `weight_decay`. Frozen weights are in no group. Raises PipelineError as `depths_of`.
    """
    depths = depths_of(model)
    top = max(depths.values())
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((depths[name], name in decayed), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": learning_rate * layer_decay ** (top - depth),
            "weight_decay": weight_decay if is_decayed else 0.0,
        }
        for (depth, is_decayed), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def depths_of(model: nn.Module) -> dict[str, int]:
    """Return how deep each weight lies, by name: 0 before the first layer, k in the k-th, one more after the last.

    The layers are those of the ModuleList or Sequential called `layers`, `layer`, `blocks` or `stages`; of several, an
    encoder's comes first, then the one that holds most weights. What has no weight is not counted. Before and after are
    as the modules were made; what the whole model holds itself (a weighting of layers) is after them. Raises
    PipelineError if there is no such list: others, such as branches side by side, are no stack.
    """
    stacks = {
        name: [place for place, layer in module.named_children() if any(True for _ in layer.parameters())]
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList | nn.Sequential) and name.split(".")[-1] in STACKS
    }
    if not any(stacks.values()):
        raise PipelineError(
            f"{type(model).__name__} is no stack of layers, so there are no rates by layer.\n"
            "Take `training.layer_decay` out of the run in params.yaml, or choose a transformer as its model."
        )

    def rank(name: str) -> tuple[bool, int]:
        weights = sum(parameter.numel() for parameter in model.get_submodule(name).parameters())
        return name.split(".")[-2:-1] == ["encoder"], weights

    stack = max(stacks, key=rank)
    layers = stacks[stack]
    last = len(layers) + 1
    depths, passed = {}, False
    for name, _ in model.named_parameters():
        if name.startswith(f"{stack}."):
            passed = True
            depths[name] = 1 + layers.index(name.removeprefix(f"{stack}.").split(".")[0])
        else:
            depths[name] = last if passed or "." not in name else 0
    return depths
