package storm

import (
	"testing"
	"time"
)

func TestLineServesTheImportantAndTheNewestFirst(t *testing.T) {
	t.Parallel()
	l := NewLine[int](8, 0)
	l.Push(LogIn, time.Second, 1)
	l.Push(LogIn, time.Second, 2)
	l.Push(InCall, time.Second, 3)
	for _, want := range []int{3, 2, 1} {
		if got, ok := l.Pop(0, nil); !ok || got != want {
			t.Fatalf("got %d, %v, want %d", got, ok, want)
		}
	}
	if _, ok := l.Pop(0, nil); ok {
		t.Error("an empty line gave something")
	}
}

func TestLineDropsWhatIsTooLate(t *testing.T) {
	t.Parallel()
	l := NewLine[int](8, 0)
	l.Push(LogIn, time.Second, 1)
	l.Push(LogIn, 3*time.Second, 2)
	l.Push(LogIn, time.Second, 3)
	var gone []int
	got, ok := l.Pop(2*time.Second, func(i int) { gone = append(gone, i) })
	if !ok || got != 2 || len(gone) != 1 || gone[0] != 3 {
		t.Errorf("got %d, %v; gone %v", got, ok, gone)
	}
	if _, ok = l.Pop(2*time.Second, nil); ok || l.Len() != 0 {
		t.Errorf("late work was given out, %d left", l.Len())
	}
}

func TestAFullLineDropsTheLeastImportantOldest(t *testing.T) {
	t.Parallel()
	l := NewLine[int](3, 0)
	l.Push(Refresh, time.Second, 1)
	l.Push(Refresh, time.Second, 2)
	l.Push(LogIn, time.Second, 3)
	if d, full := l.Push(LogIn, time.Second, 4); !full || d != 1 {
		t.Errorf("dropped %d, %v, want 1", d, full)
	}
	l.Push(LogIn, time.Second, 5)
	if d, full := l.Push(Refresh, time.Second, 6); !full || d != 6 {
		t.Errorf("dropped %d, %v, want 6", d, full)
	}
	if l.Len() != 3 {
		t.Errorf("%d in the line, want 3", l.Len())
	}
}
