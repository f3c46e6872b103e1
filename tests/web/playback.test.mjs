import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  clock,
  frameAt,
  jawHeights,
  lastShown,
  loudnessHeights,
  pictureOf,
  runs,
  scoreTitle,
  secondsToX,
  segments,
  thinned,
} from '../../web/js/playback.js'

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

test('the clock shows both times', () => {
  assert.equal(clock(31, 97, 25), '1.24 / 3.88 s')
})

test('a curve breaks where it is unknown', () => {
  assert.deepEqual(segments([null, 0.1, 0, null, null, 1]), [
    { first: 1, values: [0.1, 0] },
    { first: 5, values: [1] },
  ])
  assert.deepEqual(segments([]), [])
})

test('runs of flags have their first index and the one behind the last', () => {
  assert.deepEqual(runs([1, 1, 0, 1, 0]), [[0, 2], [3, 4]])
  assert.deepEqual(runs([0, 0]), [])
})

test('moments lie on the width that the frames fill', () => {
  const film = { frames: 100, fps: 25 }
  assert.deepEqual([0, 1, 4, 9, -1].map((s) => secondsToX(s, film, 400)), [0, 100, 400, 400, 0])
  assert.equal(secondsToX(1, { frames: 0, fps: 25 }, 400), 0)
})

test('a score says where the sound lies', () => {
  const words = { inTime: 'in time', lateBy: 'late by', earlyBy: 'early by' }
  assert.equal(scoreTitle({ adfd: 0.8125, offset: 0 }, words), 'ADFD 0.813 · in time')
  assert.equal(scoreTitle({ adfd: 0.5, offset: 3 }, words), 'ADFD 0.500 · late by 3')
  assert.equal(scoreTitle({ adfd: 0.5, offset: -1 }, words), 'ADFD 0.500 · early by 1')
})

test('of a list the last one is shown, with its own pictures', () => {
  const [one, two] = [{ frames: 3, pictures: 3 }, { frames: 2, pictures: 2 }]
  const images = ['a', 'b', 'c', 'd', 'e']
  assert.deepEqual(lastShown({ key: [one, two], images }, 'key'), { last: two, images: ['d', 'e'] })
  assert.deepEqual(lastShown({ key: [one], images: images.slice(0, 3) }, 'key'), { last: one, images: ['a', 'b', 'c'] })
  assert.deepEqual(lastShown({ key: [{ frames: 1 }] }, 'key'), { last: { frames: 1 }, images: [] })
})
