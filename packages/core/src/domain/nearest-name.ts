/**
 * Finds the name that a mistyped one was meant to be, if any is near enough: by letters alone, and for a name with dots also by its last
 * part.
 */
export function nearestName(mistyped: string, known: readonly string[]): string | undefined {
  const wanted = plain(mistyped);
  const ranked = known
    .map((name) => ({
      name,
      distance: Math.min(distance(wanted, plain(name)), distance(wanted, plain(lastPart(name)))),
    }))
    .sort((left, right) => left.distance - right.distance);
  const best = ranked[0];
  const near = Math.min(wanted.length - 1, Math.max(2, wanted.length / 4));
  return best !== undefined && best.distance <= near ? best.name : undefined;
}

function plain(name: string): string {
  return name
    .toLowerCase()
    .replaceAll(/[^a-z]/g, '')
    .slice(0, 60);
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1);
}

// Levenshtein's distance, one row at a time.
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
