/** Runs tasks one after the other, in the order of arrival. */
export class Queue {
    #tail = Promise.resolve();
    #length = 0;

    constructor(capacity = 64) {
        this.capacity = capacity;
    }

    /** Tasks that wait or run. */
    get length() {
        return this.#length;
    }

    get full() {
        return this.#length >= this.capacity;
    }

    /** Resolves or rejects as `task` does; a failing task does not stop the next one. */
    run(task) {
        this.#length += 1;
        const result = this.#tail.then(task).finally(() => {
            this.#length -= 1;
        });
        this.#tail = result.catch(() => {});
        return result;
    }
}
