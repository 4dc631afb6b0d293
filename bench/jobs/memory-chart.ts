/** A line of a chart: points in seconds and MB. */
export interface Series {
  readonly name: string;
  readonly points: readonly { readonly seconds: number; readonly mb: number }[];
}

export const csvOf = (series: readonly Series[]): string =>
  [
    'variant,seconds,resident_mb',
    ...series.flatMap(({ name, points }) =>
      points.map(({ seconds, mb }) => `${name},${seconds.toFixed(1)},${mb.toFixed(1)}`),
    ),
    '',
  ].join('\n');

const width = 760;
const height = 380;
const margin = { left: 56, right: 16, top: 36, bottom: 64 };
const colours = ['#0b6e4f', '#c8553d', '#2d5d9f', '#8f5aa8', '#b8860b', '#444444'];

/** Resident memory over time as a picture: readable on light and on dark pages. */
export function svgOf(title: string, series: readonly Series[]): string {
  const all = series.flatMap(({ points }) => points);
  const lastSecond = niceAbove(Math.max(...all.map(({ seconds }) => seconds)));
  const mostMb = niceAbove(Math.max(...all.map(({ mb }) => mb)));
  const x = (seconds: number): string =>
    (margin.left + (seconds / lastSecond) * (width - margin.left - margin.right)).toFixed(1);
  const y = (mb: number): string =>
    (height - margin.bottom - (mb / mostMb) * (height - margin.top - margin.bottom)).toFixed(1);
  const fifths = [0, 1, 2, 3, 4, 5];
  const grid = fifths.map((n) => {
    const mb = (mostMb * n) / 5;
    return `<line x1="${margin.left}" x2="${width - margin.right}" y1="${y(mb)}" y2="${y(mb)}" stroke="#ddd"/><text x="${margin.left - 6}" y="${y(mb)}" text-anchor="end" dominant-baseline="middle">${Math.round(mb)}</text>`;
  });
  const seconds = fifths.map((n) => {
    const at = (lastSecond * n) / 5;
    return `<text x="${x(at)}" y="${height - margin.bottom + 16}" text-anchor="middle">${at.toFixed(at < 10 ? 1 : 0)} s</text>`;
  });
  const lines = series.map(({ points }, i) => {
    const path = points.map((point) => `${x(point.seconds)},${y(point.mb)}`).join(' ');
    return `<polyline fill="none" stroke="${colours[i % colours.length]}" stroke-width="2" points="${path}"/>`;
  });
  const keyWidth = (width - margin.left - margin.right) / 3;
  const keys = series.map(({ name }, i) => {
    const left = margin.left + (i % 3) * keyWidth;
    const top = height - 30 + Math.floor(i / 3) * 18;
    return `<rect x="${left}" y="${top - 8}" width="10" height="10" fill="${colours[i % colours.length]}"/><text x="${left + 16}" y="${top + 1}">${escaped(name)}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12" fill="#333">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${margin.left}" y="20" font-size="14">${escaped(title)}</text>`,
    ...grid,
    ...seconds,
    ...lines,
    ...keys,
    '</svg>\n',
  ].join('\n');
}

/** The next 1, 2 or 5 times a power of ten. */
function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  return ([1, 2, 5].find((step) => step * power >= value) ?? 10) * power;
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
