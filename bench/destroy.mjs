/*
 * node --conditions=@opencode-tools/source bench/destroy.mjs [--rounds 40] [--json]
 *
 * Removing a sandbox in which a command has run, its lane open, beside the raw call of the engine for a container made with the same
 * options. `ratio` compares 95th percentiles: what is asked is that nobody waits much longer than for the engine alone.
 */
import { benchOptions, interleave, quantile, report, round } from './lib/measure.mjs';
import { rawFirstOutput, rawRemove } from './lib/raw-engine.mjs';
import { benchPlan, firstOutput, optionsOf } from './lib/sandboxes.mjs';
import { withTemporaryHome } from './lib/temporary-home.mjs';

const { json, rounds } = benchOptions(40);
const image = process.env.OPENCODE_TOOLS_DEFAULT_IMAGE ?? 'opencode-sandbox-base';

await withTemporaryHome(async ({ ports }) => {
  const { id: imageId } = await ports.images.ensure(image);
  const samples = await interleave(
    {
      'raw remove': async () => rawRemove((await rawFirstOutput(optionsOf(benchPlan(ports, imageId)))).id),
      'ours: destroy': async () => {
        const { sandbox } = await firstOutput(ports, benchPlan(ports, imageId));
        const from = performance.now();
        await sandbox.destroy();
        return performance.now() - from;
      },
    },
    rounds,
  );
  const base = quantile(samples['raw remove'], 0.95);
  const rows = Object.entries(samples).map(([name, times]) => ({
    name,
    rounds: times.length,
    medianMs: round(quantile(times, 0.5)),
    p95Ms: round(quantile(times, 0.95)),
    ratio: round(quantile(times, 0.95) / base, 2),
  }));
  report(`Removing a sandbox, image ${image}`, rows, { json, image, bar: 1.5 });
});
