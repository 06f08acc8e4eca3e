//go:build race

package stormlab_test

const raceDetector = true
