import { readOverrides, type CatalogOverrides } from '../../catalog/catalog.ts'
import type { ActionEntry } from '../../catalog/contract.ts'
import { readTeams, type TeamsDocument } from '../../identities/identities.ts'
import { readCalendar, type CalendarDocument } from '../calendar.ts'
import { floorFault } from '../floor.ts'

/** What is to be read. */
export type DocumentWork =
  | { readonly kind: 'teams'; readonly text: string }
  | { readonly kind: 'calendar'; readonly text: string }
  | { readonly kind: 'catalog'; readonly text: string; readonly offered: readonly ActionEntry[] }

export type Documents = {
  readonly teams: TeamsDocument
  readonly calendar: CalendarDocument
  readonly catalog: CatalogOverrides
}

/** Reads a document where it is called. Throws `DocumentInvalid`. */
export function readHere(work: DocumentWork): Documents[DocumentWork['kind']] {
  if (work.kind === 'teams') return readTeams(work.text, 'the document')
  if (work.kind === 'calendar') return readCalendar(work.text, 'the document')
  const { text, offered } = work
  return readOverrides(text, 'the document', { offered, faultOf: floorFault })
}
