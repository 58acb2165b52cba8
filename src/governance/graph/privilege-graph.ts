import { NodeTable } from './node-table.ts'

const FIRST_EDGES = 1 << 16
const ID_BYTES = 16
/** Of a node from which nothing is reached. */
export const FAR = 0xffff
/** A node that is a goal has no next step. */
export const NO_EDGE = 0xffffffff

/** How far each node is from the nearest goal, by which edge it goes on, and which goal that is. */
export type Distances = {
  readonly hops: Uint16Array
  /** The number of the first edge of the shortest way. */
  readonly via: Uint32Array
  readonly goal: Uint32Array
  readonly reached: number
}

/**
 * A directed graph in typed arrays: about forty bytes a node and twenty-five an edge. Edges are added as they are read; `distancesTo` then sorts
 * them by where they lead (compressed rows) and walks backwards from all goals at once, so every node and every edge is looked at one time,
 * cycles or not.
 */
export class PrivilegeGraph {
  readonly nodes = new NodeTable()
  #from = new Uint32Array(FIRST_EDGES)
  #to = new Uint32Array(FIRST_EDGES)
  #kinds = new Uint8Array(FIRST_EDGES)
  #evidence = Buffer.alloc(FIRST_EDGES * ID_BYTES)
  #size = 0

  get edges(): number {
    return this.#size
  }

  /** `evidence` is the id at `at` of `bytes`: the row that says so. */
  add(from: number, to: number, kind: number, bytes: Buffer, at: number): void {
    if (this.#size === this.#from.length) this.#grow()
    const edge = this.#size
    this.#from[edge] = from
    this.#to[edge] = to
    this.#kinds[edge] = kind
    bytes.copy(this.#evidence, edge * ID_BYTES, at, at + ID_BYTES)
    this.#size += 1
  }

  edge(edge: number): { readonly from: number; readonly to: number; readonly kind: number } {
    return { from: this.#from[edge] ?? 0, to: this.#to[edge] ?? 0, kind: this.#kinds[edge] ?? 0 }
  }

  writeEvidenceTo(target: Buffer, at: number, edge: number): void {
    this.#evidence.copy(target, at, edge * ID_BYTES, (edge + 1) * ID_BYTES)
  }

  /** Breadth first from all goals at once, against the direction of the edges; of several first edges to the same thing the one of the lowest kind, else the one added first. */
  distancesTo(goals: Iterable<number>): Distances {
    const nodes = this.nodes.size
    const { starts, into } = this.#byTarget(nodes)
    const hops = new Uint16Array(nodes).fill(FAR)
    const via = new Uint32Array(nodes).fill(NO_EDGE)
    const goal = new Uint32Array(nodes)
    const queue = new Uint32Array(nodes)
    let tail = 0
    for (const node of goals) {
      if (hops[node] !== FAR) continue
      hops[node] = 0
      goal[node] = node
      queue[tail++] = node
    }
    for (let head = 0; head < tail; head += 1) {
      const node = queue[head] ?? 0
      const next = (hops[node] ?? 0) + 1
      // What is further than this is told as not reaching: no way of people or programs has so many steps.
      if (next >= FAR) continue
      for (let at = starts[node] ?? 0; at < (starts[node + 1] ?? 0); at += 1) {
        const edge = into[at] ?? 0
        const from = this.#from[edge] ?? 0
        const known = via[from] ?? NO_EDGE
        // Between the same two the plainer kind is told: a superuser is one, whatever else it may do there.
        if (hops[from] === next && this.#to[known] === node && (this.#kinds[edge] ?? 0) < (this.#kinds[known] ?? 0))
          via[from] = edge
        if (hops[from] !== FAR) continue
        hops[from] = next
        via[from] = edge
        goal[from] = goal[node] ?? 0
        queue[tail++] = from
      }
    }
    return { hops, via, goal, reached: tail }
  }

  /** Edges by the node they lead to: those of `n` stand from `starts[n]` up to `starts[n + 1]`, in the order they were added. */
  #byTarget(nodes: number): { readonly starts: Uint32Array; readonly into: Uint32Array } {
    const starts = new Uint32Array(nodes + 1)
    for (let edge = 0; edge < this.#size; edge += 1) starts[(this.#to[edge] ?? 0) + 1]! += 1
    for (let node = 0; node < nodes; node += 1) starts[node + 1]! += starts[node] ?? 0
    const place = starts.slice(0, nodes)
    const into = new Uint32Array(this.#size)
    for (let edge = 0; edge < this.#size; edge += 1) into[place[this.#to[edge] ?? 0]!++] = edge
    return { starts, into }
  }

  #grow(): void {
    const size = this.#from.length * 2
    const copy = <A extends Uint32Array | Uint8Array>(into: A, old: A): A => {
      into.set(old)
      return into
    }
    this.#from = copy(new Uint32Array(size), this.#from)
    this.#to = copy(new Uint32Array(size), this.#to)
    this.#kinds = copy(new Uint8Array(size), this.#kinds)
    const evidence = Buffer.alloc(size * ID_BYTES)
    this.#evidence.copy(evidence)
    this.#evidence = evidence
  }
}
