// Compiles lane.c for each architecture and writes the programs into src/lane/lane-programs.ts. Needs the two compilers of Debian
// bookworm (gcc, gcc-aarch64-linux-gnu), which give the same bytes each time. With --check, writes nothing and fails when the programs
// are not those.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { lanePrograms } from '../src/lane/lane-programs.ts';

const compilers = { amd64: 'x86_64-linux-gnu-gcc', arm64: 'aarch64-linux-gnu-gcc' };
const flags =
  '-Os -nostdlib -static -ffreestanding -fno-builtin -fno-stack-protector -fno-asynchronous-unwind-tables -fno-pie -no-pie ' +
  '-fno-tree-loop-distribute-patterns -Wall -Wextra -Werror -s -Wl,--build-id=none,-z,noseparate-code,-z,norelro,-z,max-page-size=65536';
const longest = 118;
const here = import.meta.dirname;

const compiled = compile();
if (process.argv.includes('--check')) check();
else writeFileSync(join(here, '../src/lane/lane-programs.ts'), moduleOf());

function compile() {
  const directory = mkdtempSync(join(tmpdir(), 'oct-lane-'));
  const programs = Object.entries(compilers).map(([architecture, compiler]) => {
    const program = join(directory, architecture);
    execFileSync(compiler, [...flags.split(' '), '-o', program, join(here, 'lane.c')], { stdio: 'inherit' });
    return [architecture, readFileSync(program)];
  });
  rmSync(directory, { recursive: true });
  return programs;
}

function check() {
  for (const [architecture, program] of compiled) {
    if (program.equals(gunzipSync(Buffer.from(lanePrograms[architecture], 'base64')))) continue;
    throw new Error(`The program for ${architecture} is not what lane.c gives: run node lane/build.mjs`);
  }
}

function moduleOf() {
  const programs = compiled.map(([architecture, program]) => {
    const text = gzipSync(program, { level: 9 }).toString('base64');
    const lines = text.match(new RegExp(`.{1,${longest}}`, 'g')).map((line) => `    '${line}',\n`);
    return `  ${architecture}: [\n${lines.join('')}  ].join(''),\n`;
  });
  return (
    `/** \`lane/lane.c\` of this package, compiled by \`lane/build.mjs\` for the architectures that an engine may have; gzip in base64. */\n` +
    `export const lanePrograms: Readonly<Record<string, string>> = {\n${programs.join('')}};\n`
  );
}
