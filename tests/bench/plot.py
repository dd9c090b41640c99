"""The plot of how each cost grows: small panels, written as SVG by hand, since lines and words are all it needs."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 420, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 18, 40, 44
COLOURS = ["#0b6e99", "#c1440e", "#6b6b6b"]


def short(number):
    for limit, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= limit:
            return f"{number / limit:g}{letter}"
    return f"{number:g}"


def nice(top):
    """The round number at or above it: 1, 2 or 5 with zeros."""
    power = 10 ** math.floor(math.log10(top))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= top)


def panel(title, unit, lines, x, y):
    """x grows by factors of ten, y from zero: what does not grow is level. Where y spans decades it does so too."""
    points = [point for line in lines.values() for point in line]
    low, high = (math.log10(edge(p[0] for p in points)) for edge in (min, max))
    least, most = min(p[1] for p in points), nice(max(p[1] for p in points) * 1.05)
    steep = most / least > 10
    bottom = 10 ** math.floor(math.log10(least))

    def at(point):
        across = (math.log10(point[0]) - low) / (high - low or 1)
        up = math.log(point[1] / bottom) / math.log(most / bottom) if steep else point[1] / most
        return (x + LEFT + across * (WIDTH - LEFT - RIGHT), y + HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM))

    out = [f'<text x="{x + LEFT}" y="{y + 22}" class="title">{escape(title)}</text>']
    decades = round(math.log10(most / bottom)) if steep else 0
    for tick in [bottom * 10 ** i for i in range(decades + 1)] if steep else [most * i / 4 for i in range(5)]:
        if tick <= most:
            left, height = at((10 ** low, tick))
            out.append(f'<path d="M{left:.1f} {height:.1f}H{x + WIDTH - RIGHT}" class="grid"/>'
                       f'<text x="{left - 6:.1f}" y="{height + 4:.1f}" class="end">{short(round(tick, 3))}</text>')
    for value in sorted({p[0] for p in points}):
        across, _ = at((value, most))
        out.append(f'<text x="{across:.1f}" y="{y + HEIGHT - BOTTOM + 18}" class="middle">{short(value)}</text>')
    out.append(f'<text x="{x + (LEFT + WIDTH - RIGHT) / 2}" y="{y + HEIGHT - 8}" class="middle">{escape(unit)}</text>')
    for i, (name, line) in enumerate(lines.items()):
        places = [at(point) for point in line]
        path = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in places)
        out.append(f'<path d="{path}" fill="none" stroke="{COLOURS[i]}" stroke-width="2"/>')
        out += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{COLOURS[i]}"/>' for px, py in places]
        if len(lines) > 1:
            out.append(f'<text x="{x + WIDTH - RIGHT}" y="{y + TOP + 4 + 15 * i}" class="end" fill="{COLOURS[i]}">'
                       f"{escape(name)}</text>")
    return out


def svg(panels):
    rows = (len(panels) + 1) // 2
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {rows * HEIGHT}" '
           'font-family="sans-serif" font-size="12"><style>.title{font-weight:bold}.end{text-anchor:end}'
           '.middle{text-anchor:middle}.grid{stroke:#ddd}</style>', '<rect width="100%" height="100%" fill="#fff"/>']
    for i, (title, unit, lines) in enumerate(panels):
        out += panel(title, unit, lines, i % 2 * WIDTH, i // 2 * HEIGHT)
    return "\n".join([*out, "</svg>"]) + "\n"
