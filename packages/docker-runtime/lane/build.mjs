// Compiles lane.c, load.c, ../layer/layer.c and attributes.c of the package workspace for each architecture and writes the programs into
// src/lane/lane-programs.ts, src/layers/layer-programs.ts and attribute-programs.ts over there. Needs the two compilers of Debian bookworm (gcc, gcc-aarch64-linux-gnu), which give the same bytes each
// time. With --check, writes nothing and fails when the programs are not those.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { laneLoaders, lanePrograms } from '../src/lane/lane-programs.ts';
import { layerPrograms } from '../src/layers/layer-programs.ts';
import { attributePrograms } from '../../workspace/src/attributes/attribute-programs.ts';

const compilers = { amd64: 'x86_64-linux-gnu-gcc', arm64: 'aarch64-linux-gnu-gcc' };
const flags =
  '-Os -nostdlib -static -ffreestanding -fno-builtin -fno-stack-protector -fno-asynchronous-unwind-tables -fno-pie -no-pie ' +
  '-fno-tree-loop-distribute-patterns -Wall -Wextra -Werror -Wno-unused-function -s -Wl,--build-id=none,-z,noseparate-code,-z,norelro,-z,max-page-size=65536';
const longest = 118;
const here = import.meta.dirname;

const supervisors = compile('lane.c');
const loaders = compile('load.c').map(([architecture, program]) => [architecture, withoutSections(program)]);
const layers = compile('../layer/layer.c');
const attributes = compile('../../workspace/attributes/attributes.c');
if (process.argv.includes('--check')) check();
else {
  writeFileSync(join(here, '../src/lane/lane-programs.ts'), moduleOfLanes());
  writeFileSync(join(here, '../src/layers/layer-programs.ts'), moduleOfLayers());
  writeFileSync(join(here, '../../workspace/src/attributes/attribute-programs.ts'), moduleOfAttributes());
}

function compile(source) {
  const directory = mkdtempSync(join(tmpdir(), 'oct-lane-'));
  const programs = Object.entries(compilers).map(([architecture, compiler]) => {
    const program = join(directory, architecture);
    execFileSync(compiler, [...flags.split(' '), '-o', program, join(here, source)], { stdio: 'inherit' });
    return [architecture, readFileSync(program)];
  });
  rmSync(directory, { recursive: true });
  return programs;
}

/** What a kernel loads of a program: all up to the end of its last part that is in the file (PT_LOAD of elf(5)). */
function withoutSections(program) {
  const [headers, headerBytes, count] = [
    Number(program.readBigUInt64LE(32)),
    program.readUInt16LE(54),
    program.readUInt16LE(56),
  ];
  const ends = Array.from({ length: count }, (_none, index) => program.subarray(headers + headerBytes * index))
    .filter((header) => header.readUInt32LE(0) === 1 && header.readBigUInt64LE(32) > 0n)
    .map((header) => Number(header.readBigUInt64LE(8) + header.readBigUInt64LE(32)));
  const kept = Buffer.from(program.subarray(0, Math.max(...ends)));
  kept.fill(0, 40, 48).fill(0, 60, 64);
  return kept;
}

function check() {
  for (const [programs, known] of [
    [supervisors, lanePrograms],
    [loaders, laneLoaders],
    [layers, layerPrograms],
    [attributes, attributePrograms],
  ])
    for (const [architecture, program] of programs) {
      if (program.equals(gunzipSync(Buffer.from(known[architecture], 'base64')))) continue;
      throw new Error(`A program for ${architecture} is not what its source gives: run node lane/build.mjs`);
    }
}

function recordOf(programs) {
  const texts = programs.map(([architecture, program]) => {
    const text = gzipSync(program, { level: 9 }).toString('base64');
    const lines = text.match(new RegExp(`.{1,${longest}}`, 'g')).map((line) => `    '${line}',\n`);
    return `  ${architecture}: [\n${lines.join('')}  ].join(''),\n`;
  });
  return `Readonly<Record<string, string>> = {\n${texts.join('')}};\n`;
}

function moduleOfLanes() {
  return (
    `/** \`lane/lane.c\` of this package, compiled by \`lane/build.mjs\` for the architectures that an engine may have; gzip in base64. */\n` +
    `export const lanePrograms: ${recordOf(supervisors)}\n` +
    `/** \`lane/load.c\`, likewise. */\n` +
    `export const laneLoaders: ${recordOf(loaders)}`
  );
}

function moduleOfLayers() {
  return (
    `/** \`layer/layer.c\` of this package, compiled by \`lane/build.mjs\` for the architectures that an engine may have; gzip in base64. */\n` +
    `export const layerPrograms: ${recordOf(layers)}`
  );
}

function moduleOfAttributes() {
  return (
    `/** \`attributes/attributes.c\` of this package, compiled by \`packages/docker-runtime/lane/build.mjs\`; gzip in base64. */\n` +
    `export const attributePrograms: ${recordOf(attributes)}`
  );
}
