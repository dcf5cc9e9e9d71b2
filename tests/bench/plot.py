"""Small plots as SVG: panels side by side, each with a logarithmic x axis and up to two series on axes of their own."""

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM, GAP = 300, 210, 52, 52, 34, 40, 26
COLOURS = ("#1f5fa8", "#b5511d")


def short(v):
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if v >= size:
            return f"{v / size:g}{unit}"
    return f"{v:g}"


def nice_top(v):
    """The next of 1, 2, 5, 10, ... that is not below v."""
    step = 10 ** (len(str(int(v))) - 1)
    for k in (1, 2, 3, 4, 5, 6, 8, 10):
        if v <= k * step:
            return k * step
    return v


def panel(at, title, x_label, xs, x_names, series):
    """series: [(label, [y, ...]), ...]; xs are positions (e.g. logarithms) from left to right."""
    out = [f'<g transform="translate({at},0)">',
           f'<text x="{LEFT + WIDTH / 2}" y="16" class="title">{title}</text>',
           f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" class="frame"/>']
    span = (xs[-1] - xs[0]) or 1
    px = [LEFT + 12 + (WIDTH - 24) * (x - xs[0]) / span for x in xs]
    for x, name in zip(px, x_names):
        out.append(f'<line x1="{x:.1f}" y1="{TOP + HEIGHT}" x2="{x:.1f}" y2="{TOP + HEIGHT + 4}" class="tick"/>')
        out.append(f'<text x="{x:.1f}" y="{TOP + HEIGHT + 16}" class="x">{name}</text>')
    out.append(f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 32}" class="x">{x_label}</text>')
    for i, (label, ys) in enumerate(series):
        top = nice_top(max(max(ys), 1))
        py = [TOP + HEIGHT * (1 - y / top) for y in ys]
        side, anchor = ((LEFT - 5, "end"), (LEFT + WIDTH + 5, "start"))[i]
        for k in range(5):
            y = TOP + HEIGHT * (1 - k / 4)
            if i == 0 and 0 < k < 4:
                out.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + WIDTH}" y2="{y:.1f}" class="grid"/>')
            out.append(f'<text x="{side}" y="{y + 4:.1f}" text-anchor="{anchor}" fill="{COLOURS[i]}">'
                       f'{short(top * k / 4)}</text>')
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(px, py))
        out.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[i]}" stroke-width="1.8"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{COLOURS[i]}"/>' for x, y in zip(px, py)]
        out.append(f'<text x="{(LEFT, LEFT + WIDTH)[i]}" y="{TOP - 6}" text-anchor="{("start", "end")[i]}" '
                   f'fill="{COLOURS[i]}">{label}</text>')
    return "\n".join(out + ["</g>"])


def write(path, panels):
    each = LEFT + WIDTH + RIGHT + GAP
    style = ("text{font:11px sans-serif} .title{font-weight:bold;font-size:12px;text-anchor:middle} "
             ".x{text-anchor:middle;fill:#444} .frame{fill:none;stroke:#888} .grid{stroke:#ddd} .tick{stroke:#888}")
    with open(path, "w") as f:
        f.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{each * len(panels)}" '
                f'height="{TOP + HEIGHT + BOTTOM}">\n<style>{style}</style>\n'
                f'<rect width="100%" height="100%" fill="white"/>\n')
        f.write("\n".join(panel(i * each, *p) for i, p in enumerate(panels)) + "\n</svg>\n")
