import { type ImageFacts, type StandardImage, standardImages } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { nameValue, type NameValue } from '../arguments/values.ts';
import type { Command } from '../command.ts';
import { formatBytes, formatTime, lines, oneLine } from '../render/format.ts';
import { table } from '../render/table.ts';

interface Images {
  readonly images: readonly ImageFacts[];
}

export const imagesList: Command<Images> = {
  name: 'images list',
  summary: 'list the images on the engine',
  parameters: [],
  options: [{ name: 'label', value: nameValue('name=value'), repeatable: true, summary: 'only with this label' }],
  async run({ input, home }) {
    const labels = Object.fromEntries(input.list<NameValue>('label').map(({ name, value }) => [name, value ?? '']));
    return { images: await home.images.list(Object.keys(labels).length === 0 ? {} : { labels }) };
  },
  render({ images }, style) {
    if (images.length === 0) return style.dim('No images.');
    return table(
      images,
      [
        { title: 'IMAGE', text: ({ id }) => id.replace('sha256:', '').slice(0, 12) },
        { title: 'SIZE', align: 'right', text: ({ sizeBytes }) => formatBytes(sizeBytes) },
        { title: 'CREATED', text: ({ createdAt }) => formatTime(createdAt) },
        { title: 'NAMES', text: ({ references }) => oneLine(references.join(', '), 80) },
      ],
      style,
    );
  },
};

interface PinnedImage {
  readonly image: string;
  readonly pinned: string;
}

export const imagesPin: Command<PinnedImage> = {
  name: 'images pin',
  summary: 'print the reference that means this very version of an image, for the configuration or create-task --image',
  notes: [
    'A task keeps the version that it was created with in any case; a pinned reference gives the same one to new tasks.',
  ],
  parameters: [{ name: 'image', summary: 'reference of an image on the engine' }],
  options: [],
  async run({ input, home }) {
    const image = input.text('image');
    const { id } = await home.images.ensure(image);
    const [name = image] = image.split('@', 1);
    const colon = name.lastIndexOf(':');
    return { image, pinned: `${colon > name.lastIndexOf('/') ? name.slice(0, colon) : name}@${id}` };
  },
  render: ({ pinned }) => pinned,
};

export const imagesBuild: Command<Images> = {
  name: 'images build',
  summary: 'build the sandbox images that come with opencode-tools',
  notes: ['Each is built only when its inputs changed. Without a registry the base is made from Debian packages.'],
  parameters: [{ name: 'image', summary: 'which (default: all)', optional: true, choices: standardImages }],
  options: [{ name: 'force', summary: 'build even when nothing changed' }],
  async run({ input, home, call, json, terminal }) {
    const named = input.get<StandardImage>('image');
    const images: ImageFacts[] = [];
    for (const name of named === undefined ? standardImages : [named]) {
      const options = {
        force: input.flag('force'),
        ...given({ signal: call.signal }),
        ...(json ? {} : { onProgress: (line: string) => terminal.writeError(`${oneLine(line, 200)}\n`) }),
      };
      images.push(await home.images.build(name, options));
    }
    return { images };
  },
  render({ images }, style) {
    return lines(
      ...images.map(({ references, id, sizeBytes }) => {
        return `${style.good('built')} ${oneLine(references[0] ?? id, 80)} ${style.dim(formatBytes(sizeBytes))}`;
      }),
    );
  },
};
