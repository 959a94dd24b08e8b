// image: makes container images without any tool and any network: layers, configuration, manifest, index, as an OCI
// layout, as its archive, and as `docker save` writes them. For image.test.mjs.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { top } from './lib.mjs';

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const blocks = (bytes) => Buffer.concat([bytes, Buffer.alloc((512 - bytes.length % 512) % 512)]);

// entries: [{name, bytes | link | hard, mode, uid, gid, type}]; a name that ends with a slash is a folder.
export function tar(entries, { end = true } = {}) {
  const parts = entries.map((entry) => {
    const bytes = Buffer.from(entry.bytes ?? '');
    const type = entry.type ?? (entry.link !== undefined ? '2' : entry.hard !== undefined ? '1' : entry.name.endsWith('/') ? '5' : '0');
    const head = Buffer.alloc(512), octal = (value, at, length) => head.write(value.toString(8).padStart(length - 1, '0'), at);
    head.write(entry.name, 0, 100);
    octal(entry.mode ?? (type === '5' ? 0o755 : 0o644), 100, 8);
    octal(entry.uid ?? 0, 108, 8);
    octal(entry.gid ?? 0, 116, 8);
    octal(type === '0' ? bytes.length : 0, 124, 12);
    octal(entry.time ?? 1700000000, 136, 12);
    head.write('        ', 148);
    head.write(type, 156);
    head.write(entry.link ?? entry.hard ?? '', 157, 100);
    head.write('ustar\0' + '00', 257);
    head.write(head.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0') + '\0 ', 148);
    return Buffer.concat([head, blocks(type === '0' ? bytes : Buffer.alloc(0))]);
  });
  return Buffer.concat([...parts, Buffer.alloc(end ? 1024 : 0)]);
}

const architecture = { x64: 'amd64', ia32: '386' }[process.arch] ?? process.arch;

// A frame of blocks as they are (RFC 8878, 3.1.1), since this Node has no zstd.
function zstd(bytes) {
  const parts = [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0]), Buffer.alloc(4)];
  parts[1].writeUInt32LE(bytes.length);
  for (let at = 0; at < bytes.length; at += 1 << 17) {
    const part = bytes.subarray(at, at + (1 << 17)), head = Buffer.alloc(4);
    head.writeUInt32LE(part.length << 3 | (at + part.length === bytes.length ? 1 : 0));
    parts.push(head.subarray(0, 3), part);
  }
  return Buffer.concat(parts);
}
const packings = { gzip: zlib.gzipSync, zstd, none: (bytes) => bytes };

// layers: lists of entries, or Buffers of whole tar archives. Returns the parts, by their names in a layout.
export function image({ layers, config = {}, arch = architecture, packing = 'gzip', tag = 'latest', diffs }) {
  const tars = layers.map((layer) => (Buffer.isBuffer(layer) ? layer : tar(layer)));
  const blobs = tars.map((bytes) => packings[packing](bytes)), files = {};
  const put = (bytes, mediaType) => {
    files[`blobs/sha256/${sha256(bytes)}`] = bytes;
    return { mediaType, digest: `sha256:${sha256(bytes)}`, size: bytes.length };
  };
  const about = Buffer.from(JSON.stringify({ architecture: arch, os: 'linux', config, rootfs: { type: 'layers', diff_ids: diffs ?? tars.map((bytes) => `sha256:${sha256(bytes)}`) } }));
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, config: put(about, 'application/vnd.oci.image.config.v1+json'), layers: blobs.map((bytes) => put(bytes, `application/vnd.oci.image.layer.v1.tar${packing === 'none' ? '' : `+${packing}`}`)) }));
  files['oci-layout'] = Buffer.from('{"imageLayoutVersion":"1.0.0"}');
  files['index.json'] = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [{ ...put(manifest, 'application/vnd.oci.image.manifest.v1+json'), annotations: tag && { 'org.opencontainers.image.ref.name': tag } }] }));
  return { files, digest: sha256(about), about, tars };
}

export function writeLayout(folder, { files }) {
  for (const [name, bytes] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), bytes);
  }
}
export const ociArchive = ({ files }) => tar(Object.entries(files).map(([name, bytes]) => ({ name, bytes })));
// As old `docker save` does: a layer that is there already is a link.
export function dockerArchive({ tars, about, digest }, { name = 'test:latest' } = {}) {
  const Layers = tars.map((bytes, index) => `layer${index}/layer.tar`);
  const entries = tars.map((bytes, index) => (index > 0 && bytes.equals(tars[0]) ? { name: Layers[index], link: '../layer0/layer.tar' } : { name: Layers[index], bytes }));
  return tar([...entries, { name: `${digest}.json`, bytes: about }, { name: 'manifest.json', bytes: JSON.stringify([{ Config: `${digest}.json`, RepoTags: [name], Layers }]) }]);
}

// The server, linked statically; null: this machine cannot.
let built;
export function server(folder) {
  if (built !== undefined) return built;
  const file = path.join(folder, 'server');
  const made = spawnSync('cc', ['-std=gnu17', '-O1', '-static', '-o', file, path.join(top, 'test/e2e/image/server.c')]);
  built = made.status === 0 ? fs.readFileSync(file) : null;
  return built;
}
// A tree as a program of an ordinary image finds it.
export const tree = (bytes) => [
  { name: 'bin/' }, { name: 'bin/server', bytes, mode: 0o755 }, { name: 'bin/link', link: '/bin/server' }, { name: 'bin/same', hard: 'bin/server' },
  { name: 'etc/' }, { name: 'etc/passwd', bytes: 'root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1001::/home/node:/bin/sh\n' }, { name: 'etc/group', bytes: 'root:x:0:\nstaff:x:50:\n' },
  { name: 'home/node/', uid: 1000, gid: 1001, mode: 0o700 }, { name: 'app/' }, { name: 'app/data', bytes: 'lower', mode: 0o600, uid: 1000, gid: 1001 }, { name: 'app/gone', bytes: 'x' },
  { name: 'opaque/' }, { name: 'opaque/old', bytes: 'x' }, { name: 'tmp/', mode: 0o1777 },
];
