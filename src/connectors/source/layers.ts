import type { TarEntry } from './tar.ts'

/** What one layer of an image brings, by path. */
export type Layer = ReadonlyMap<string, TarEntry['type']>

// OCI Image Layer Specification, "Whiteouts".
const TAKES = '.wh.'
const OPAQUE = '.wh..wh..opq'

/**
 * Whether what a layer brings to a path still stands there in the image that a container begins with: no later layer brings something else there,
 * takes it or a folder above it away, hides what a folder held, or puts something that is no folder in a folder's place.
 */
export function overlaid(layers: readonly Layer[]): (layer: number, path: string) => boolean {
  const last = new Map<string, number>()
  const hidden = new Map<string, number>()
  for (const [at, layer] of layers.entries()) {
    for (const [path, type] of layer) {
      const cut = path.lastIndexOf('/')
      const [folder, name] = [path.slice(0, Math.max(0, cut)), path.slice(cut + 1)]
      // A folder hides nothing of what stood below it; a file in its place hides all of it.
      if (name === OPAQUE) hidden.set(`${folder}/`, at)
      else if (name.startsWith(TAKES)) hidden.set(folder === '' ? name.slice(4) : `${folder}/${name.slice(4)}`, at)
      else if (type === 'folder') last.set(path, at)
      else {
        last.set(path, at)
        hidden.set(`${path}/`, at)
      }
    }
  }
  return (layer, path) => {
    if ((last.get(path) ?? layer) > layer || (hidden.get(path) ?? -1) > layer) return false
    for (let cut = path.lastIndexOf('/'); ; cut = path.lastIndexOf('/', cut - 1)) {
      const folder = path.slice(0, Math.max(0, cut))
      if ((hidden.get(`${folder}/`) ?? -1) > layer) return false
      if (cut <= 0) return true
      if ((hidden.get(folder) ?? -1) > layer) return false
    }
  }
}
