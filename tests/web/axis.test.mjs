import assert from 'node:assert/strict'
import { test } from 'node:test'
import { layOut, markAt, MARK_LEAST, ticks, timeToX, xToTime } from '../../web/js/axis.js'

const AXIS = { width: 410, inset: 5, lengthS: 4 }
const EDITS = [
  { line: 0, startS: 1, prompt: 'a' },
  { line: 1, startS: 1.05, prompt: 'b' },
  { line: 2, startS: 3, prompt: 'c' },
  { line: 3, startS: 9, prompt: 'd' },
]

test('time and pixel invert each other and stay on the axis', () => {
  for (const seconds of [0, 0.5, 3.99, 4]) assert.ok(Math.abs(xToTime(timeToX(seconds, AXIS), AXIS) - seconds) < 1e-9)
  assert.equal(timeToX(99, AXIS), 405)
  assert.equal(xToTime(-50, AXIS), 0)
  assert.equal(xToTime(999, AXIS), 4)
  assert.equal(timeToX(1, { ...AXIS, lengthS: 0 }), 5)
})

test('ticks are round, begin at 0, end on the axis and have room', () => {
  for (const lengthS of [0.3, 1, 4, 17, 60, 3600]) {
    const found = ticks({ ...AXIS, lengthS })
    assert.equal(found[0].seconds, 0)
    assert.ok(found.length >= 2 && found.length <= 11, `${found.length} ticks for ${lengthS} s`)
    assert.ok(found.at(-1).seconds <= lengthS + 1e-6)
    assert.equal(new Set(found.map((tick) => tick.label)).size, found.length)
  }
})

test('marks begin at their time, and none covers the next unless it would vanish', () => {
  const marks = layOut(EDITS, AXIS, () => 80)
  assert.equal(marks[0].x, timeToX(1, AXIS))
  assert.equal(marks[0].width, MARK_LEAST)
  assert.equal(marks[1].width, 80)
  assert.equal(marks[1].endX, timeToX(3, AXIS))
  assert.deepEqual(marks.map((mark) => mark.late), [false, false, false, true])
  for (const mark of marks) assert.ok(mark.x >= 0 && mark.x + MARK_LEAST <= AXIS.width)
})

test('the pointer hits the mark that can be seen there', () => {
  const marks = layOut(EDITS, AXIS, () => 80)
  assert.equal(markAt(marks, 2), null)
  assert.equal(markAt(marks, marks[0].x).line, 0)
  assert.equal(markAt(marks, marks[0].x - 2).line, 0, 'a little beside counts')
  assert.equal(markAt(marks, marks[1].x + 1).line, 1, 'where two overlap, the later one')
  assert.equal(markAt(marks, marks[1].x + 80 + 10), null)
  assert.equal(markAt([], 5), null)
})
