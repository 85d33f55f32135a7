import { createDockerRuntime } from '@opencode-tools/docker-runtime';
import { createIds, systemClock, silentLogger } from '@opencode-tools/core';
import { openTestEngine, samplePlan, runIn } from '@opencode-tools/testkit';
import { readdirSync } from 'node:fs';
const engine = await openTestEngine(); const ids = createIds(systemClock);
const { runtime } = createDockerRuntime({ environment: process.env, homeId: engine.homeId, ids, clock: systemClock, logger: silentLogger });
const h = await runtime.create(samplePlan(engine.homeId, engine.imageId));
const fds=()=>readdirSync('/proc/self/fd').length;
try {
await Promise.all(Array.from({length:8},()=>runIn(h,'true')));
console.log('start', (await h.stats()).processes, fds(), process.memoryUsage().rss>>20);
for (let i=0;i<1500;i++) await runIn(h,'true'); global.gc?.();
console.log('1500', (await h.stats()).processes, fds(), process.memoryUsage().rss>>20);
for (let i=0;i<25;i++) await runIn(h,'sleep 0.2 & true');
await new Promise(r=>setTimeout(r,1500));
console.log('leftovers', (await h.stats()).processes, fds());
for (let i=0;i<10;i++) await runIn(h,'cat',{stdin:Buffer.from('x')});
console.log('stdin', (await h.stats()).processes, fds());
console.log((await runIn(h,'ls /run/oct; wc -c /run/oct/*')).stdout);
const big='x'.repeat(100_000); let t=performance.now(); await runIn(h,`: ${big}`); console.log('100KB script',performance.now()-t);
t=performance.now(); await runIn(h,`: ${'x'.repeat(4000)}`); console.log('4KB script',performance.now()-t);
} finally { await h.destroy(); await engine.close(); }
