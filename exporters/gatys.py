"""The picture itself optimised for one photo and one artwork: minutes a picture, and the floor for any net.

Gatys, Ecker and Bethge, "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016, sections 2.3
and 3: L-BFGS on the pixels, from the photo.  The losses are this project's (`losses.py`), so that a painted
picture and an optimised one are judged by the very sum that both are after.  For `bench/quality.py` only.
"""

import torch
from torch import Tensor

from allaprima.exporters import losses
from allaprima.exporters.vgg import LossNetwork

HISTORY = 20
"""Steps that L-BFGS remembers; a picture of 256 x 384 takes 1.2 MB for each, twice."""


def paint(
    photos: Tensor,
    network: LossNetwork,
    artwork: losses.Statistics,
    *,
    content: float = 2.2,
    style: float = 5.0,
    iterations: int = 100,
) -> Tensor:
    """The pictures ``(N, 3, H, W)`` in 0..1 with the least weighted sum of content and style loss found.

    ``photos`` is ``(N, 3, H, W)`` RGB in 0..1, ``artwork`` holds the statistics of one artwork at the layers
    to judge style by; ``content`` and ``style`` are the weights of a training config.  No chance is
    involved: the same photos give the same pictures.  What is returned is the best picture seen and never
    worse than the photo, but only as near to the floor as ``iterations`` of L-BFGS bring it.
    """
    layer = network.content_layer
    with torch.no_grad():
        wanted = network(photos, layer)[layer]
    picture = photos.clone().requires_grad_()
    best, least = photos, float("inf")
    optimizer = torch.optim.LBFGS(
        [picture],
        max_iter=iterations,
        history_size=HISTORY,
        line_search_fn="strong_wolfe",  # the losses are in bf16: without a search a step too far is not noticed
        tolerance_grad=0,
        tolerance_change=0,
    )

    def closure() -> Tensor:
        nonlocal best, least
        optimizer.zero_grad()
        inside = picture.clamp(0, 1)  # a pixel that leaves the range no longer counts
        features = network(inside)
        alike = losses.content_loss(features[layer], wanted)
        loss = content * alike + style * losses.style_loss(features, artwork).mean()
        if loss.item() < least:
            best, least = inside.detach().clone(), loss.item()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return best
