/** What a source posts by itself: it waits at the node until the scope that it is for is read, as a file would. */

export type Inbox = {
  readonly scope: string
  /** Id of the one identity that may post for a source with these settings; nobody may without one. */
  readonly delivererOf: (settings: unknown) => string | undefined
  /** What of a post is kept, bounded and without what no reading needs, and how many things in it are not understood. */
  readonly itemsOf: (posted: unknown) => { readonly items: readonly Posted[]; readonly unread: number }
  /** Up to which place the scope was read, by the cursor of its last page; 0 when the cursor is of something else. */
  readonly placeOf: (cursor: string) => number
}

/** `id` is the same however often the thing is posted; `at` is when it happened. */
export type Posted = { readonly id: string; readonly at: Date; readonly content: unknown }

/** One read of what waits. `refused` counts everything that ever came and was not kept. */
export type Waiting = {
  readonly items: readonly { readonly place: number; readonly content: unknown }[]
  readonly refused: number
}
