package upstream

import "container/heap"

// schedule picks hosts in proportion to their weights, spread evenly: that with the earliest deadline first.
type schedule struct {
	queue turnQueue
	now   float64
	added uint64
}

type turn struct {
	host     *Host
	deadline float64
	added    uint64 // of equal deadlines, the oldest is first
	interval float64
}

func (s *schedule) add(h *Host, weight uint32) { s.push(turn{host: h, interval: 1 / float64(weight)}) }

func (s *schedule) push(t turn) {
	t.deadline, t.added = s.now+t.interval, s.added
	s.added++
	heap.Push(&s.queue, t)
}

// next returns the next host; nil if there are none.
func (s *schedule) next() *Host {
	if len(s.queue) == 0 {
		return nil
	}
	t := heap.Pop(&s.queue).(turn)
	s.now = t.deadline
	s.push(t)
	return t.host
}

// turnQueue is a [heap.Interface].
type turnQueue []turn

func (q turnQueue) Len() int      { return len(q) }
func (q turnQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q turnQueue) Less(i, j int) bool {
	if q[i].deadline != q[j].deadline {
		return q[i].deadline < q[j].deadline
	}
	return q[i].added < q[j].added
}

func (q *turnQueue) Push(t any) { *q = append(*q, t.(turn)) }
func (q *turnQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
