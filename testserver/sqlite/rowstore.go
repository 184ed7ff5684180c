package sqlite

// maxBufferedRows is how many bytes of rows a writing statement outside a
// transaction may leave behind before its rows are read with the lock held.
const maxBufferedRows = 4 << 20

// keptBuffer is the most memory that a statement keeps for the next time.
const keptBuffer = 64 << 10

// rowStore holds the rows of a statement that ran ahead of its reader, in their
// final form.
type rowStore struct {
	data []byte
	ends []int // where each row ends in data
	// row is the row that the reader is at; nil when it is not at a stored one.
	row  []byte
	next int
}

// add stores the row that was appended to data.
func (r *rowStore) add(data []byte) {
	r.data = data
	r.ends = append(r.ends, len(data))
}

// advance goes to the next stored row.
func (r *rowStore) advance() bool {
	if r.next >= len(r.ends) {
		r.row = nil
		return false
	}
	from := 0
	if r.next > 0 {
		from = r.ends[r.next-1]
	}
	r.row = r.data[from:r.ends[r.next]]
	r.next++
	return true
}

func (r *rowStore) clear() {
	if cap(r.data) > keptBuffer {
		*r = rowStore{}
	}
	r.data, r.ends, r.row, r.next = r.data[:0], r.ends[:0], nil, 0
}

// storeRows runs a writing statement ahead, beginning with the row that it is
// at, so that its effect is durable and the lock free before the reader has the
// first row.
func (s *stmt) storeRows() (row bool, err error) {
	for {
		s.stored.add(s.appendColumns(s.stored.data))
		if s.spoilt != nil {
			return false, s.failSpoilt()
		}
		if len(s.stored.data) > maxBufferedRows {
			break
		}
		more, err := s.proceed()
		if err != nil {
			return false, err
		}
		if !more {
			break
		}
	}
	return s.stored.advance(), nil
}
