import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { laneProgramText } from './lane-program.ts';
import { laneLoaders, lanePrograms } from './lane-programs.ts';

const build = fileURLToPath(new URL('../../lane/build.mjs', import.meta.url));
const compilers = ['x86_64-linux-gnu-gcc', 'aarch64-linux-gnu-gcc'];
const given = compilers.every(
  (compiler) => spawnSync(compiler, ['-dumpfullversion']).stdout?.toString() === '12.2.0\n',
);
const whyNot = given ? '' : ` (not run: needs ${compilers.join(' and ')} 12.2.0, those of Debian bookworm)`;

test('the supervisor is a static program of some kilobytes', () => {
  for (const text of Object.values(lanePrograms)) {
    const program = gunzipSync(Buffer.from(text, 'base64'));
    expect(program.subarray(0, 4)).toEqual(Buffer.from('\x7fELF', 'latin1'));
    expect(program.length).toBeLessThan(32_768);
    const segments = Array.from({ length: program.readUInt16LE(56) }, (_none, index) =>
      program.readUInt32LE(program.readUInt16LE(54) * index + Number(program.readBigUInt64LE(32))),
    );
    // PT_DYNAMIC and PT_INTERP of elf(5): what would ask for a library.
    expect(segments.filter((kind) => kind === 2 || kind === 3)).toEqual([]);
  }
});

test('no two parts of it share a page, also where pages have 64 KiB as on some kernels for arm64', () => {
  const pageBytes = 65_536n;
  for (const text of Object.values(lanePrograms)) {
    const program = gunzipSync(Buffer.from(text, 'base64'));
    const headers = Array.from({ length: program.readUInt16LE(56) }, (_none, index) =>
      program.subarray(program.readUInt16LE(54) * index + Number(program.readBigUInt64LE(32))),
    );
    // PT_LOAD of elf(5), from its address to the end of its memory.
    const loaded = headers.filter((header) => header.readUInt32LE(0) === 1);
    const pages = loaded.map((header) => {
      const [address, bytes] = [header.readBigUInt64LE(16), header.readBigUInt64LE(40)];
      return [address / pageBytes, (address + bytes - 1n) / pageBytes] as const;
    });
    expect(pages.length).toBeGreaterThan(1);
    pages.slice(1).forEach(([first], index) => expect(first).toBeGreaterThan(pages[index]?.[1] ?? -1n));
  }
});

test.each(Object.keys(lanePrograms))(
  'a shell gives back what unpacks the supervisor, which is behind it (%s)',
  (architecture) => {
    const text = laneProgramText(architecture);
    const { stdout } = spawnSync('/bin/sh', ['-c', 'printf "${TEXT%%:*}"'], { env: { TEXT: text } });
    expect(stdout.equals(gunzipSync(Buffer.from(laneLoaders[architecture] ?? '', 'base64')))).toBe(true);
    expect(text.slice(text.indexOf(':') + 1)).toBe(lanePrograms[architecture]);
    // Kernels refuse a longer variable (`MAX_ARG_STRLEN`, 32 pages); each process that an engine starts there inherits it.
    expect(text.length).toBeLessThan(32_768);
  },
);

test.skipIf(!given)(`the programs are what their source compiles to${whyNot}`, async () => {
  await expect(promisify(execFile)(process.execPath, [build, '--check'])).resolves.toMatchObject({ stderr: '' });
});
