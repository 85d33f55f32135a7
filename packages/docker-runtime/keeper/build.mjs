// Compiles keeper.c and lane.c for each architecture and writes the programs into src. Needs the two compilers of Debian bookworm
// (gcc, gcc-aarch64-linux-gnu), which give the same bytes each time. With --check, writes nothing and fails when the programs are
// not those.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';

const sources = {
  'keeper.c': { module: 'src/keeper/keeper-programs.ts', name: 'keeperPrograms' },
  'lane.c': { module: 'src/lane/lane-programs.ts', name: 'lanePrograms' },
};
const compilers = { amd64: 'x86_64-linux-gnu-gcc', arm64: 'aarch64-linux-gnu-gcc' };
const flags =
  '-Os -nostdlib -static -ffreestanding -fno-builtin -fno-stack-protector -fno-asynchronous-unwind-tables -fno-pie -no-pie ' +
  '-fno-tree-loop-distribute-patterns -Wall -Wextra -Werror -s -Wl,--build-id=none,-z,noseparate-code,-z,norelro,-z,max-page-size=65536';
const longest = 118;
const here = import.meta.dirname;

for (const [source, { module, name }] of Object.entries(sources)) {
  const path = join(here, '..', module);
  if (process.argv.includes('--check')) await check(source, path, name);
  else writeFileSync(path, moduleOf(source, name, compile(source)));
}

function compile(source) {
  const directory = mkdtempSync(join(tmpdir(), 'keeper-'));
  const compiled = Object.entries(compilers).map(([architecture, compiler]) => {
    const program = join(directory, architecture);
    execFileSync(compiler, [...flags.split(' '), '-o', program, join(here, source)], { stdio: 'inherit' });
    return [architecture, readFileSync(program)];
  });
  rmSync(directory, { recursive: true });
  return compiled;
}

async function check(source, path, name) {
  const { [name]: programs } = await import(path);
  for (const [architecture, program] of compile(source)) {
    if (program.equals(gunzipSync(Buffer.from(programs[architecture], 'base64')))) continue;
    throw new Error(`The program for ${architecture} is not what ${source} gives: run node keeper/build.mjs`);
  }
}

function moduleOf(source, name, compiled) {
  const programs = compiled.map(([architecture, program]) => {
    const text = gzipSync(program, { level: 9 }).toString('base64');
    const lines = text.match(new RegExp(`.{1,${longest}}`, 'g')).map((line) => `    '${line}',\n`);
    return `  ${architecture}: [\n${lines.join('')}  ].join(''),\n`;
  });
  return (
    `/** \`keeper/${source}\`, compiled by \`keeper/build.mjs\` for the architectures that an engine may have; gzip in base64. */\n` +
    `export const ${name}: Readonly<Record<string, string>> = {\n${programs.join('')}};\n`
  );
}
