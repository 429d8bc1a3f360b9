// Values over time, as charts and tables take them.

export interface Series {
  name: string;
  /** Moment in ms and value; null where nothing is known. */
  rows: readonly (readonly [number, number | null])[];
  kind?: 'line' | 'bars';
  /** Drawn with dashes and paler: what is compared with. */
  beside?: boolean;
}

/** All moments of all series in order, and each series' values at them. */
export function aligned(series: readonly Series[]): [number[], ...(number | null)[][]] {
  const moments = new Set<number>();
  for (const one of series) for (const [at] of one.rows) moments.add(at);
  const xs = [...moments].sort((a, b) => a - b);
  const columns = series.map((one) => {
    const values = new Map(one.rows);
    return xs.map((at) => values.get(at) ?? null);
  });
  return [xs, ...columns];
}
