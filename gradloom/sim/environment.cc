// The environment of a design in the compiled simulator: the parts of gradloom/sim/environment.py,
// clock by clock. gradloom/sim/players.py does the same in Python, part by part.
//
// A clock is one row of words, inputs first, then outputs. Before each clock edge, every part drives
// its inputs of the design from its own state; the design's logic is evaluated; then every part
// observes the outputs.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace environment {

using Words = std::vector<uint32_t>;

// Number of a word that is not there: of a stream without `ready`, for example.
constexpr uint32_t NONE = 0xffffffff;

struct Row {
    uint32_t *in, *out;
    uint32_t words_in;

    uint32_t &operator[](uint32_t word) const {
        return word < words_in ? in[word] : out[word - words_in];
    }
    // A port of one bit that is always 1 where it is not there.
    bool high(uint32_t word) const { return word == NONE || (*this)[word] & 1; }
    void set(uint32_t word, uint32_t value) const { if (word != NONE) (*this)[word] = value; }
};

// The description of an environment: numbers, and lists with their length in front.
struct Text {
    const uint32_t *at;

    uint32_t word() { return *at++; }
    Words list() {
        uint32_t count = word();
        Words words(at, at + count);
        at += count;
        return words;
    }
};

// Ports that are read and written together: words of a row.
struct Ports {
    Words places;

    explicit Ports(Text &text) : places(text.list()) {}
    size_t size() const { return places.size(); }
    void write(const Row &row, const uint32_t *value) const {
        for (size_t k = 0; k < places.size(); k++) row[places[k]] = value ? value[k] : 0;
    }
    void read(const Row &row, Words &to) const {
        for (uint32_t place : places) to.push_back(row[place]);
    }
    uint64_t number(const Row &row) const {
        uint64_t value = places.empty() ? 0 : row[places[0]];
        return places.size() > 1 ? value | uint64_t(row[places[1]]) << 32 : value;
    }
    void write_number(const Row &row, uint64_t value) const {
        uint32_t words[] = {uint32_t(value), uint32_t(value >> 32)};
        write(row, words);
    }
};

// Numbers that are repeated without end.
struct Pattern {
    Words values;
    size_t at = 0;

    explicit Pattern(Text &text) : values(text.list()) {}
    uint32_t next() {
        uint32_t value = values[at++];
        if (at == values.size()) at = 0;
        return value;
    }
};

struct Part {
    Words events, words;
    std::string fault;

    virtual ~Part() {}
    virtual void drive(const Row &) {}
    virtual void observe(const Row &row, uint64_t clock) = 0;
    virtual bool done() const { return true; }
    virtual void send(const uint32_t *, uint64_t, uint64_t) {}
    void event(uint64_t clock) {
        events.push_back(uint32_t(clock));
        events.push_back(uint32_t(clock >> 32));
    }
};

struct Source : Part {
    uint32_t valid, ready;
    Ports payload;
    Pattern gaps;
    Words beats;
    uint64_t count, at = 0;
    uint32_t gap;

    explicit Source(Text &text)
        : valid(text.word()), ready(text.word()), payload(text), gaps(text), beats(text.list()),
          count(text.word()), gap(gaps.next()) {}
    bool offers() const { return at < count && !gap; }
    void drive(const Row &row) override {
        row.set(valid, offers());
        payload.write(row, offers() ? beats.data() + at * payload.size() : nullptr);
    }
    void observe(const Row &row, uint64_t) override {
        if (gap) {
            gap--;
        } else if (at < count && row.high(ready)) {
            at++;
            gap = gaps.next();
        }
    }
    bool done() const override { return at == count; }
    // Further beats. Those that were taken are forgotten.
    void send(const uint32_t *words, uint64_t size, uint64_t more) override {
        beats.erase(beats.begin(), beats.begin() + at * payload.size());
        beats.insert(beats.end(), words, words + size);
        count += more - at;
        at = 0;
    }
};

struct Sink : Part {
    uint32_t valid, ready;
    Pattern stalls;
    uint32_t stall;

    explicit Sink(Text &text)
        : valid(text.word()), ready(text.word()), stalls(text), stall(stalls.next()) {}
    void drive(const Row &row) override { row.set(ready, !stall); }
    void observe(const Row &row, uint64_t) override {
        if (stall)
            stall--;
        else if (row.high(valid))
            stall = stalls.next();
    }
};

struct Memory : Part {
    uint32_t request_valid, request_ready, is_write, read_valid, read_ready, write_valid, write_ready;
    Ports address, length, data, read_data, write_data;
    Pattern latency, stalls;
    size_t size;
    uint32_t stall;
    uint64_t next_write = 0, left = 0, last_due = 0;
    std::deque<uint64_t> due;
    std::deque<uint32_t> values;
    uint64_t now = 0;

    explicit Memory(Text &text)
        : request_valid(text.word()), request_ready(text.word()), is_write(text.word()),
          read_valid(text.word()), read_ready(text.word()), write_valid(text.word()),
          write_ready(text.word()), address(text), length(text), data(text), read_data(text),
          write_data(text), latency(text), stalls(text), size(text.word()), stall(stalls.next()) {
        words = text.list();
    }
    bool offers(uint64_t clock) const { return !due.empty() && due.front() <= clock; }
    void drive(const Row &row) override {
        row.set(request_ready, !stall && !left);
        row.set(write_ready, left != 0);
        row.set(read_valid, offers(now));
        Words value(values.begin(), offers(now) ? values.begin() + size : values.begin());
        read_data.write(row, value.empty() ? nullptr : value.data());
    }
    void store(const Row &row, const Ports &from) {
        Words value;
        from.read(row, value);
        std::copy(value.begin(), value.end(), words.begin() + next_write++ * size);
    }
    void observe(const Row &row, uint64_t clock) override {
        now = clock + 1;
        if (offers(clock) && row.high(read_ready)) {
            due.pop_front();
            values.erase(values.begin(), values.begin() + size);
        }
        if (left) {
            if (row.high(write_valid)) {
                store(row, write_data);
                left--;
            }
        } else if (stall) {
            stall--;
        } else if (row.high(request_valid)) {
            stall = stalls.next();
            uint64_t first = address.number(row);
            uint64_t count = length.size() ? length.number(row) : 1;
            if (first + count > words.size() / size) {
                fault = "words " + std::to_string(first) + " to " + std::to_string(first + count - 1)
                    + " are asked for at clock " + std::to_string(clock) + ": there are "
                    + std::to_string(words.size() / size);
            } else if (is_write == NONE ? !read_data.size() : row.high(is_write)) {
                next_write = first;
                if (data.size())
                    store(row, data);
                else
                    left = count;
            } else {
                last_due = std::max(last_due, clock + latency.next());
                for (uint64_t k = 0; k < count; k++) due.push_back(last_due);
                values.insert(values.end(), words.begin() + first * size,
                              words.begin() + (first + count) * size);
            }
        }
    }
    bool done() const override { return due.empty() && !left; }
};

struct Host : Part {
    enum { WRITE, READ, POLL, WAIT };
    struct Step { uint32_t kind; uint64_t address, value, mask; };

    uint32_t write, read;
    Ports address, data, value;
    uint32_t latency;
    std::vector<Step> script;
    size_t at = 0;
    uint64_t since = 0;

    explicit Host(Text &text)
        : write(text.word()), read(text.word()), address(text), data(text), value(text),
          latency(text.word()), script(text.word()) {
        auto number = [&text] {
            uint64_t low = text.word();
            return low | uint64_t(text.word()) << 32;
        };
        for (Step &step : script) {
            step.kind = text.word();
            step.address = number();
            step.value = number();
            step.mask = number();
        }
    }
    void drive(const Row &row) override {
        bool now = at < script.size() && !since && script[at].kind != WAIT;
        const Step *step = now ? &script[at] : nullptr;
        bool writes = now && step->kind == WRITE;
        address.write_number(row, now ? step->address : 0);
        data.write_number(row, writes ? step->value : 0);
        row.set(write, writes);
        row.set(read, now && !writes);
    }
    void observe(const Row &row, uint64_t clock) override {
        if (at == script.size()) return;
        const Step &step = script[at];
        uint64_t last = step.kind == WAIT ? step.value - 1 : step.kind == WRITE ? 0 : latency;
        if (since++ < last) return;
        since = 0;
        if (step.kind == READ || step.kind == POLL) {
            if (step.kind == POLL && (value.number(row) & step.mask) != step.value) return;
            event(clock);
            events.push_back(uint32_t(step.address));
            events.push_back(uint32_t(step.address >> 32));
            value.read(row, events);
        }
        at++;
    }
    bool done() const override { return at == script.size(); }
};

struct Watch : Part {
    Words when;
    Ports data;

    explicit Watch(Text &text) : when(text.list()), data(text) {}
    void observe(const Row &row, uint64_t clock) override {
        for (uint32_t word : when)
            if (!row[word]) return;
        event(clock);
        data.read(row, events);
    }
};

struct Environment {
    std::vector<std::unique_ptr<Part>> parts;
    uint64_t clock = 0;

    explicit Environment(Text text) {
        for (uint32_t count = text.word(); count; count--) {
            switch (text.word()) {
            case 0: parts.emplace_back(new Source(text)); break;
            case 1: parts.emplace_back(new Sink(text)); break;
            case 2: parts.emplace_back(new Memory(text)); break;
            case 3: parts.emplace_back(new Host(text)); break;
            case 4: parts.emplace_back(new Watch(text)); break;
            }
        }
    }
    void drive(const Row &row) {
        for (auto &part : parts) part->drive(row);
    }
    // Whether all went well.
    bool observe(const Row &row) {
        bool good = true;
        for (auto &part : parts) {
            part->observe(row, clock);
            good = good && part->fault.empty();
        }
        clock++;
        return good;
    }
};

}

extern "C" {
void *gradloom_environment_new(const uint32_t *text) {
    return new environment::Environment(environment::Text{text});
}
void gradloom_drive(void *self, uint32_t *in, uint32_t *out, uint32_t words_in) {
    static_cast<environment::Environment *>(self)->drive(environment::Row{in, out, words_in});
}
// Whether all went well.
int gradloom_observe(void *self, uint32_t *in, uint32_t *out, uint32_t words_in) {
    return static_cast<environment::Environment *>(self)->observe(environment::Row{in, out, words_in});
}
void gradloom_environment_delete(void *self) {
    delete static_cast<environment::Environment *>(self);
}
static environment::Part &gradloom_part(void *self, uint64_t number) {
    return *static_cast<environment::Environment *>(self)->parts[number];
}
// Words of a part's events, or of its memory: their number, and where they are.
uint64_t gradloom_events(void *self, uint64_t number, const uint32_t **words) {
    const environment::Words &events = gradloom_part(self, number).events;
    *words = events.data();
    return events.size();
}
void gradloom_forget_events(void *self, uint64_t number) { gradloom_part(self, number).events.clear(); }
uint64_t gradloom_words(void *self, uint64_t number, const uint32_t **words) {
    const environment::Words &memory = gradloom_part(self, number).words;
    *words = memory.data();
    return memory.size();
}
void gradloom_send(void *self, uint64_t number, const uint32_t *words, uint64_t size, uint64_t beats) {
    gradloom_part(self, number).send(words, size, beats);
}
int gradloom_done(void *self, uint64_t number) { return gradloom_part(self, number).done(); }
const char *gradloom_fault(void *self, uint64_t number) { return gradloom_part(self, number).fault.c_str(); }
}
