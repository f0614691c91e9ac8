using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>A block of equal slots: K and V [slots, G, C, D], and what belongs to the entries beside them.</summary>
internal sealed class SlabExtent : IDisposable
{
    private readonly Tensor[] _tensors;
    private readonly Tensor[][] _views;
    private readonly nint[][]? _addresses;
    private readonly SlabSlot?[] _slots;
    private readonly Stack<int> _free = new();

    public SlabExtent(EntryLayout layout, int capacity, int slots)
    {
        (Capacity, SlotBytes) = (capacity, layout.Bytes(capacity));
        _tensors = layout.Reserve(slots, capacity);
        _views = [.. Enumerable.Range(0, slots).Select(i => _tensors.Select(t => t.select(0, i).DetachFromDisposeScope()).ToArray())];
        _addresses = layout.Device.type == DeviceType.CPU ? [.. _views.Select(v => v.Select(Address).ToArray())] : null;
        _slots = new SlabSlot?[slots];
        for (int i = slots - 1; i >= 0; i--)
        {
            _free.Push(i);
        }
    }

    /// <summary>Entries per KV head of each slot.</summary>
    public int Capacity { get; }

    public long SlotBytes { get; }

    public long Bytes => SlotBytes * _slots.Length;

    public int Slots => _slots.Length;

    public int Free => _free.Count;

    public int Used => _slots.Length - _free.Count;

    public Tensor[] Views(int index) => _views[index];

    public nint[]? Addresses(int index) => _addresses?[index];

    /// <summary>A new slot in a free place; there must be one.</summary>
    public SlabSlot Rent()
    {
        SlabSlot slot = new(this, _free.Peek());
        Take(slot);
        return slot;
    }

    /// <summary>Gives a slot the next free place.</summary>
    public int Take(SlabSlot slot)
    {
        int index = _free.Pop();
        _slots[index] = slot;
        return index;
    }

    /// <exception cref="InvalidOperationException">The place is free already.</exception>
    public void Release(int index)
    {
        if (_slots[index] is null)
        {
            throw new InvalidOperationException($"Slot {index} of a block of {Capacity} entries was given back twice.");
        }

        _slots[index] = null;
        _free.Push(index);
    }

    /// <summary>The slots in use, in order.</summary>
    public IEnumerable<SlabSlot> InUse() => _slots.OfType<SlabSlot>();

    /// <summary>Throws when the free list and the slots do not tell the same.</summary>
    public void CheckIntegrity()
    {
        bool[] free = new bool[_slots.Length];
        foreach (int index in _free)
        {
            Integrity.Check(!free[index] && _slots[index] is null, $"slot {index} of {Capacity} entries is free twice, or free and used");
            free[index] = true;
        }

        for (int i = 0; i < _slots.Length; i++)
        {
            bool placed = _slots[i] is not { } slot || (slot.Extent == this && slot.Index == i);
            Integrity.Check(placed && free[i] == (_slots[i] is null), $"slot {i} of {Capacity} entries is lost, or does not know its place");
        }
    }

    /// <summary>Where its memory lies on the CPU, to tell that no two extents overlap.</summary>
    public IEnumerable<(nint From, long Bytes)> Ranges() => _addresses is null
        ? []
        : _tensors.Select(t => (Address(t), t.NumberOfElements * t.ElementSize));

    public void Dispose()
    {
        foreach (Tensor owned in _views.SelectMany(v => v).Concat(_tensors))
        {
            owned.Dispose();
        }
    }

    private static unsafe nint Address(Tensor tensor) => (nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(tensor.bytes));
}
