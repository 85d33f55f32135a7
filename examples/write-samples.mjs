/*
 * node --conditions=@opencode-tools/source examples/write-samples.mjs
 *
 * Puts code and output of the examples into the documents that show them, between `<!-- sample: FILE -->` and
 * `<!-- /sample -->`, `<!-- output: FILE [ARGUMENTS] -->` and `<!-- /output -->`. An output is that of a real run.
 */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const runFile = promisify(execFile);
const root = fileURLToPath(new URL('../', import.meta.url));
const documents = [
  'README.md',
  'docs/guide/getting-started.md',
  'docs/guide/the-main-job.md',
  'docs/guide/using-it-as-a-library.md',
  'docs/guide/following-events.md',
];
const block = /<!-- (sample|output): (\S+)((?: \S+)*) -->\n[\s\S]*?<!-- \/\1 -->/g;
const outputs = new Map();

for (const document of documents) {
  const path = `${root}${document}`;
  const text = await readFile(path, 'utf8');
  let written = text;
  for (const [whole, kind, file, args] of text.matchAll(block)) {
    written = written.replace(whole, () => `${whole.split('\n')[0]}\n`);
    const content = kind === 'sample' ? await sampleOf(file) : await outputOf(file, args.trim());
    const start = `<!-- ${kind}: ${file}${args} -->\n`;
    written = written.replace(start, () => `${start}\n${content}\n<!-- /${kind} -->`);
  }
  if (written !== text) await writeFile(path, written);
}

async function sampleOf(file) {
  const code = await readFile(`${root}${file}`, 'utf8');
  return fenced('js', code.replace(/^\/\*[\s\S]*?\*\/\n/, ''));
}

async function outputOf(file, args) {
  const key = `${file} ${args}`;
  if (!outputs.has(key)) {
    const words = args === '' ? [] : args.split(' ');
    const node = ['--conditions=@opencode-tools/source', file, ...words];
    const { stdout } = await runFile(process.execPath, node, { cwd: root, maxBuffer: 1 << 26 });
    outputs.set(key, stdout);
  }
  return fenced('text', outputs.get(key));
}

function fenced(language, text) {
  return `\`\`\`${language}\n${text.trim()}\n\`\`\`\n`;
}
