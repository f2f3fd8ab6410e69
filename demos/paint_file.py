"""Paint a file: python -m allaprima.demos.paint_file clip.mp4 painted.mp4 [STYLE]"""

import sys

from allaprima.realtime import Stylizer, open_sink, open_source, run

source = open_source(sys.argv[1])
sink = open_sink(sys.argv[2], source.info)
progress = run(source, Stylizer(*sys.argv[3:4]), [sink])
print(f"{progress.painted} frames painted, {progress.fps:.1f} a second: {sys.argv[2]}")
