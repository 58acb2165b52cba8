import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NoXml, readXml, xmlAt, xmlEvery, xmlMembers, xmlText, type XmlElement } from './xml.ts'

test('an answer of AWS is read: lists in lists, attributes, entities, what is empty', () => {
  const answer = readXml(`<?xml version="1.0"?>
    <Answer xmlns="https://iam.amazonaws.com/doc/2010-05-08/" odd="a > b"><!-- <Users> -->
      <Users><member><Name>a &amp; &#x1F511;&#65;</Name><Groups><member>ops</member><member>dev</member></Groups></member>
        <member><Name><![CDATA[<b>]]></Name><Groups/></member></Users>
      <IsTruncated>false</IsTruncated></Answer>`)
  const users = xmlMembers(answer, 'Users')

  assert.deepEqual(
    users.map((user) => [xmlText(user, 'Name'), xmlMembers(user, 'Groups').map(({ text }) => text)]),
    [
      ['a & 🔑A', ['ops', 'dev']],
      ['<b>', []],
    ],
  )
  assert.equal(xmlText(answer, 'IsTruncated'), 'false')
  assert.equal(xmlText(answer, 'Users', 'member', 'Groups', 'none'), undefined)
  assert.equal(xmlAt(answer, 'Users')?.text, '')
  assert.deepEqual(
    xmlEvery(answer, 'Name').map(({ text }) => text),
    ['a & 🔑A', '<b>'],
  )
})

test('attack: what declares entities, goes ever deeper, or is not whole is no answer', () => {
  for (const text of [
    '',
    'text',
    '<a>',
    '<a></b>',
    '</a>',
    '<a/><b/>',
    '<a>1</a>2',
    '<a><![CDATA[x</a>',
    '<a b="</a>',
    '<a>&lol;</a>',
    '<a>&#x110000;</a>',
    '<!DOCTYPE a [<!ENTITY lol "lol">]><a>&lol;</a>',
    '<a>'.repeat(100_000),
    `${'<a>'.repeat(50)}${'</a>'.repeat(50)}`,
  ])
    assert.throws(() => readXml(text), NoXml, text.slice(0, 40))
})

const Tree = fc.letrec<{ tree: XmlElement }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5 },
    fc.record({
      name: fc.stringMatching(/^[A-Za-z][\w.-]{0,8}$/),
      text: fc.string({ unit: 'grapheme' }),
      children: fc.constant([]),
    }),
    fc.record({
      name: fc.stringMatching(/^[A-Za-z][\w.-]{0,8}$/),
      text: fc.constant(''),
      children: fc.array(tie('tree'), { minLength: 1, maxLength: 4 }),
    }),
  ),
})).tree

const written = ({ name, text, children }: XmlElement): string =>
  `<${name}>${text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}${children.map(written).join('')}</${name}>`

test('what is written is what is read, and any text is read or is no XML', () => {
  fc.assert(fc.property(Tree, (tree) => assert.equal(written(readXml(written(tree))), written(tree))))
  const piece = fc.constantFrom(
    '<a>',
    '</a>',
    '<b c="',
    '"',
    '/>',
    '&',
    '#',
    ';',
    'x',
    '<![CDATA[',
    ']]>',
    '<!--',
    '-->',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      try {
        return readXml(pieces.join('')).name.length > 0
      } catch (error) {
        return error instanceof NoXml
      }
    }),
  )
})
