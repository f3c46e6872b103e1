import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clock, frameAt, jawHeights, loudnessHeights, pictureOf, thinned } from '../../web/js/playback.js'

test('frames follow the clock and begin again', () => {
  assert.deepEqual([0, 0.039, 0.04, 3.99, 4, 4.05].map((s) => frameAt(s, 25, 100)), [0, 0, 1, 99, 0, 1])
  assert.equal(frameAt(1, 25, 0), 0)
})

test('every picture is shown, in order, however many there are', () => {
  for (const pictures of [1, 7, 50, 100]) {
    const shown = Array.from({ length: 100 }, (_, frame) => pictureOf(frame, 100, pictures))
    assert.deepEqual([...new Set(shown)], Array.from({ length: pictures }, (_, number) => number))
  }
  assert.equal(pictureOf(0, 100, 0), -1)
  assert.deepEqual(thinned([0, 1, 2, 3, 4, 5], 3), [0, 2, 4])
  assert.deepEqual(thinned([0, 1], 3), [0, 1])
})

test('loudness in decibels and as a level become heights', () => {
  assert.deepEqual(loudnessHeights([-60, -30, 0, -90]), [0, 0.5, 1, 0])
  assert.deepEqual(loudnessHeights([0, 0.5, 1]), [0, 0.5, 1])
  assert.deepEqual(loudnessHeights([-Infinity, -30]), [0, 0.5])
  assert.deepEqual(loudnessHeights([]), [])
})

test('the widest jaw is 1, a still one stays low', () => {
  assert.deepEqual(jawHeights([0, 0.25, 0.5, -1]), [0, 0.5, 1, 0])
  assert.ok(jawHeights([0.01, 0.02])[1] < 0.2)
})

test('the clock tells both times', () => {
  assert.equal(clock(31, 97, 25), '1.24 / 3.88 s')
})
