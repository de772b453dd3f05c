// Medians and spreads.

/** The middle value; null of none. */
export function median(values) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Half of what lies between the smallest and the largest value, in percent of the median. */
export function spreadPercent(values) {
  const middle = median(values);
  if (values.length < 2 || !middle) return 0;
  return ((Math.max(...values) - Math.min(...values)) / 2 / middle) * 100;
}
