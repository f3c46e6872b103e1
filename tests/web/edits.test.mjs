import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  addEdit,
  changeEdit,
  formatEdit,
  formatSeconds,
  freeTime,
  lineAt,
  parseEdits,
  parseLines,
  removeEdit,
  shortened,
  trouble,
} from '../../web/js/edits.js'

const MESSY = '# notes\n2.0: smiling\n\nhalf typed:\n 0.5 :  sad \n-1: before\n'

test('edits come by time, with their lines; other lines are no edits', () => {
  assert.deepEqual(parseEdits(MESSY), [
    { line: 4, startS: 0.5, prompt: 'sad' },
    { line: 1, startS: 2, prompt: 'smiling' },
  ])
  assert.deepEqual(parseEdits(''), [])
  assert.deepEqual(parseEdits('1:2: three'), [{ line: 0, startS: 1, prompt: '2: three' }])
  assert.equal(parseLines('a\r\nb').length, 2)
})

test('seconds have one to three decimals', () => {
  const written = [2, 2.5, 2.04, 0.033333, 10, 0.1 + 0.2, 1.999].map(formatSeconds)
  assert.deepEqual(written, ['2.0', '2.5', '2.04', '0.033', '10.0', '0.3', '1.999'])
})

test('what is written is read again', () => {
  for (const startS of [0, 0.04, 1.96, 12.345]) {
    const [edit] = parseEdits(formatEdit(startS, ' a  smiling\nperson '))
    assert.deepEqual(edit, { line: 0, startS, prompt: 'a smiling person' })
  }
})

test('changes leave other lines as they were', () => {
  const rest = (text, line) => text.split('\n').filter((_, number) => number !== line)
  assert.deepEqual(rest(changeEdit(MESSY, 1, { startS: 3 }), 1), rest(MESSY, 1))
  assert.equal(parseEdits(changeEdit(MESSY, 1, { startS: 3 }))[1].startS, 3)
  assert.equal(parseEdits(changeEdit(MESSY, 1, { prompt: 'laughing' }))[1].prompt, 'laughing')
  assert.deepEqual(removeEdit(MESSY, 4).split('\n'), rest(MESSY, 4))
  const added = addEdit(MESSY, 1, 'angry')
  assert.deepEqual(added.split('\n').filter((line) => line !== '1.0: angry'), MESSY.split('\n'))
})

test('a mark that is dragged past another takes its place among the lines', () => {
  const text = '# notes\n1.0: one\n\n2.0: two\n3.0: three\n'
  const moved = changeEdit(text, 1, { startS: 2.5 })
  assert.equal(moved, '# notes\n2.0: two\n\n2.5: one\n3.0: three\n')
  assert.equal(lineAt(moved, 2.5), 3)
  assert.equal(lineAt(moved, 2.6), -1)
  assert.equal(changeEdit(moved, 3, { startS: 1, prompt: 'first' }), '# notes\n1.0: first\n\n2.0: two\n3.0: three\n')
})

test('lines that are no edits cannot be changed or removed', () => {
  for (const line of [0, 2, 3, 5, 99, -1]) {
    assert.equal(changeEdit(MESSY, line, { startS: 3 }), MESSY)
    assert.equal(removeEdit(MESSY, line), MESSY)
  }
})

test('a new edit stands before the first later one, or below the last line', () => {
  assert.equal(addEdit('', 1, 'a'), '1.0: a')
  assert.equal(addEdit('2.0: b', 1, 'a'), '1.0: a\n2.0: b')
  assert.equal(addEdit('2.0: b\n', 3, 'c'), '2.0: b\n3.0: c\n')
})

test('a time is put on the nearest frame that no other edit has, inside the video', () => {
  const text = '1.0: a\n2.0: b'
  assert.equal(freeTime(text, -1, 1.49, 25, 4), 37 / 25)
  assert.equal(freeTime(text, -1, 1, 25, 4), 26 / 25)
  assert.equal(freeTime(text, 0, 1, 25, 4), 1)
  assert.equal(freeTime(text, 0, 99, 25, 4), 99 / 25)
  assert.equal(freeTime(text, 0, -5, 25, 4), 0)
  assert.equal(freeTime('0.0: a', -1, 0, 25, 0.04), 0, 'one frame, taken: nothing better than that')
})

test('what would stop a run is named', () => {
  assert.deepEqual(trouble(MESSY), { raw: '# notes' })
  assert.deepEqual(trouble('1.0: a\n\n1: b'), { startS: 1 })
  assert.equal(trouble('1.0: a\n\n2: b\n'), null)
})

test('a mark shows what a prompt adds to the first one', () => {
  assert.equal(shortened('a person with red hair', 'a person'), 'with red hair')
  assert.equal(shortened('an old person', 'a person'), 'an old person')
  for (const first of ['', 'a person', 'a person who smiles']) assert.equal(shortened('a person', first), 'a person')
})
