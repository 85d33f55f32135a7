import { execFile } from 'node:child_process';
import { parseArgs, promisify } from 'node:util';

const runFile = promisify(execFile);

/** Reads `--json` and `--rounds` from the command line. */
export function benchOptions(defaultRounds) {
  const { values } = parseArgs({ options: { json: { type: 'boolean' }, rounds: { type: 'string' } } });
  return { json: values.json === true, rounds: Number(values.rounds ?? defaultRounds) };
}

/**
 * Times each contestant once per round, in turn, so that whatever else the machine does hits all alike. One round before
 * the first is thrown away.
 *
 * @param contestants name → a function that does the work and returns milliseconds, or nothing to be timed from outside
 */
export async function interleave(contestants, rounds) {
  const samples = Object.fromEntries(Object.keys(contestants).map((name) => [name, []]));
  for (let round = -1; round < rounds; round += 1) {
    for (const [name, work] of Object.entries(contestants)) {
      const from = performance.now();
      const told = await work(round);
      const ms = told ?? performance.now() - from;
      if (round >= 0) samples[name].push(ms);
    }
  }
  return samples;
}

/** Sums up the samples as ratios of medians to the baseline's median. */
export function summarise(samples, baseline) {
  const base = quantile(samples[baseline], 0.5);
  return Object.entries(samples).map(([name, times]) => ({
    name,
    rounds: times.length,
    medianMs: round(quantile(times, 0.5)),
    p25Ms: round(quantile(times, 0.25)),
    p75Ms: round(quantile(times, 0.75)),
    ratio: round(quantile(times, 0.5) / base, 3),
  }));
}

/** Prints a report as a table, or as one JSON document. */
export function report(title, rows, { json, ...more }) {
  if (json) {
    process.stdout.write(`${JSON.stringify({ title, ...more, rows }, null, 2)}\n`);
    return;
  }
  process.stdout.write(`${title}\n\n`);
  const columns = Object.keys(rows[0] ?? {});
  const widths = columns.map((column) => Math.max(column.length, ...rows.map((row) => String(row[column]).length)));
  const line = (cells) => cells.map((cell, index) => align(String(cell), widths[index], index === 0)).join('  ');
  for (const row of [columns, ...rows.map((each) => columns.map((column) => each[column]))]) {
    process.stdout.write(`${line(row)}\n`);
  }
}

/** Runs a program to its end and returns its standard output. */
export async function run(command, args, options = {}) {
  const { stdout } = await runFile(command, args, { maxBuffer: 64 * 1024 * 1024, ...options });
  return stdout;
}

function align(text, width, left) {
  return left ? text.padEnd(width) : text.padStart(width);
}

/** A quantile by linear interpolation. */
export function quantile(values, at) {
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * at;
  const low = sorted[Math.floor(place)];
  return low + (sorted[Math.ceil(place)] - low) * (place % 1);
}

/** Rounds to digits after the point. */
export function round(value, digits = 1) {
  return Number(value.toFixed(digits));
}
