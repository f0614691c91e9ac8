using FlowMM.KvCache;

namespace FlowMM.Model.Kernels;

/// <summary>What a decoding step works on, beside the model's weights. Reused from step to step, so that a token leaves no garbage.</summary>
internal sealed unsafe class DecodeInput
{
    private readonly List<SessionCache> _caches = [];
    private readonly List<nint> _cosines = [];
    private readonly List<nint> _sines = [];
    private readonly List<int> _later = [];
    private EntryPointers[] _entries = [];
    private bool[] _mass = [];
    private int _layers;

    /// <summary>The cache of each row; rows of one sequence lie one after another.</summary>
    public IReadOnlyList<SessionCache> Caches => _caches;

    /// <summary>Weights of the norm before the head.</summary>
    public float* FinalNorm { get; set; }

    /// <summary>The head.</summary>
    public PackedMatrix Head { get; set; } = null!;

    /// <summary>[B][V], written.</summary>
    public float* Logits { get; set; }

    /// <summary>Called with each layer's index when all its rows are done, on the caller's thread; null when nobody needs it.</summary>
    public Action<int>? AfterLayer { get; set; }

    /// <summary>Begins a step.</summary>
    public void Clear()
    {
        _caches.Clear();
        _cosines.Clear();
        _sines.Clear();
        _later.Clear();
        AfterLayer = null;
    }

    /// <summary>Adds a row.</summary>
    /// <param name="cache">Its cache.</param>
    /// <param name="cos">Address of its position's cosines.</param>
    /// <param name="sin">Address of its position's sines.</param>
    /// <param name="later">Newer tokens of the same cache in this step, whose entries the row does not see.</param>
    public void Add(SessionCache cache, nint cos, nint sin, int later)
    {
        _caches.Add(cache);
        _cosines.Add(cos);
        _sines.Add(sin);
        _later.Add(later);
    }

    /// <summary>Notes where the caches lie, once every layer of every cache counts its new tokens.</summary>
    public void Locate()
    {
        _layers = _caches[0].Layers.Count;
        if (_entries.Length < _caches.Count * _layers)
        {
            (_entries, _mass) = (new EntryPointers[_caches.Count * _layers], new bool[_caches.Count * _layers]);
        }

        for (int row = 0; row < _caches.Count; row++)
        {
            for (int layer = 0; layer < _layers; layer++)
            {
                LayerCache cache = _caches[row].Layers[layer];
                EntryPointers held = cache.Pointers;
                _entries[(row * _layers) + layer] = held with { Length = held.Length - _later[row] };
                _mass[(row * _layers) + layer] = cache.HasMass;
            }
        }
    }

    /// <summary>A layer's entries that a row sees; the last is its own token's.</summary>
    public EntryPointers Entries(int row, int layer) => _entries[(row * _layers) + layer];

    /// <summary>True when they have log-mass to add.</summary>
    public bool HasMass(int row, int layer) => _mass[(row * _layers) + layer];

    /// <summary>Cosines of a row's position, [D].</summary>
    public float* Cosines(int row) => (float*)_cosines[row];

    /// <summary>Sines of a row's position, the first half negated, [D].</summary>
    public float* Sines(int row) => (float*)_sines[row];
}
