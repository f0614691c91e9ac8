using FlowMM.KvCache;
using FlowMM.Model.Configuration;

namespace FlowMM.Model.Kernels;

/// <summary>
/// Rows of several sequences, each a token, through all layers, by a team that goes through the same phases together. Weights are read once for
/// all rows. A row's arithmetic never depends on the other rows, on the threads, or on who did what; a sequence's later rows see what its
/// earlier ones have put into the cache. Legend as in <see cref="DecodeMemory"/>.
/// </summary>
internal sealed unsafe class DecodeStep(CpuCompute compute, DecoderConfig config, DecodeLayer[] layers) : ITeamWork
{
    private const int PhasesOfLayer = 7;

    private readonly int[] _taken = new int[(layers.Length * PhasesOfLayer) + 1];
    private readonly DecodeMemory _memory = new(config, compute.Team.Size);
    private readonly Kernels _kernels = compute.Kernels;
    private readonly float _epsilon = (float)config.NormEpsilon;
    private readonly int _heads = config.QueryHeads;
    private readonly int _groups = config.KvHeads;
    private readonly int _width = config.HeadDim;
    private DecodeInput _input = null!;
    private int _rows;
    private int _runs;

    /// <summary>Rows between the kernels; <see cref="DecodeMemory.X"/> holds the residual rows after a step.</summary>
    public DecodeMemory Memory => _memory;

    /// <summary>Makes room for a step, before <see cref="DecodeMemory.X"/> is filled with the embedded tokens.</summary>
    /// <param name="rows">Tokens.</param>
    /// <param name="longest">Entries of the longest cache, the new tokens' among them.</param>
    public void Reserve(int rows, int longest) => _memory.Reserve(rows, Runs(longest));

    /// <summary>Runs all layers over the rows.</summary>
    /// <param name="input">Caches, angles and outputs; the caches have room for the new tokens and count them.</param>
    public void Run(DecodeInput input)
    {
        (_input, _rows) = (input, input.Caches.Count);
        _runs = Runs(input.Caches.Max(c => c.LongestLayer));
        Array.Clear(_taken);
        compute.Team.Run(this);
    }

    /// <inheritdoc/>
    public void Run(WorkerTeam team, int worker)
    {
        for (int layer = 0; layer < layers.Length; layer++)
        {
            Layer(team, worker, layer);
            if (_input.AfterLayer is not null)
            {
                team.Meet(worker);
                if (worker == 0)
                {
                    _input.AfterLayer(layer);
                }
            }

            team.Meet(worker);
        }

        Share(layers.Length * PhasesOfLayer, worker, new Product
        {
            Matrix = _input.Head,
            X = Normed(worker, _input.FinalNorm),
            XStride = config.Width,
            Rows = _rows,
            Y = _input.Logits,
            YStride = _input.Head.Rows,
            Start = ProductStart.Zero,
        });
    }

    /// <summary>Frees what a step needs; weights are not its own.</summary>
    public void Release() => _memory.Dispose();

    private static int Runs(int entries) => (entries + AttentionRun.Entries - 1) / AttentionRun.Entries;

    private void Layer(WorkerTeam team, int worker, int index)
    {
        DecodeLayer layer = layers[index];
        int phase = index * PhasesOfLayer, qkv = (_heads + (2 * _groups)) * _width;
        Share(phase, worker, layer.Qkv.Of(Normed(worker, layer.NormBefore), config.Width, _rows, _memory.Qkv, qkv));
        team.Meet(worker);
        for (int item; (item = Take(phase + 1)) < _rows * (_heads + (2 * _groups));)
        {
            Place(layer, index, item / (_heads + (2 * _groups)), item % (_heads + (2 * _groups)), worker);
        }

        team.Meet(worker);
        for (int item; (item = Take(phase + 2)) < _rows * _groups * _runs;)
        {
            Attend(index, item / (_groups * _runs), item / _runs % _groups, item % _runs, worker);
        }

        team.Meet(worker);
        for (int item; (item = Take(phase + 3)) < _rows * _heads;)
        {
            Join(index, item / _heads, item % _heads);
        }

        team.Meet(worker);
        Share(phase + 4, worker, Onto(layer.Output, _memory.Attended, _heads * _width));
        team.Meet(worker);
        float* normed = Normed(worker, layer.NormAfter);
        ShareGates(phase + 5, worker, layer, normed);
        team.Meet(worker);
        Share(phase + 6, worker, Onto(layer.Down, _memory.Gated, config.MlpWidth));
    }

    private int Take(int phase) => Interlocked.Increment(ref _taken[phase]) - 1;

    /// <summary>Norms all rows for oneself: that is cheaper than to wait for others who do a part each.</summary>
    private float* Normed(int worker, float* weight)
    {
        float* normed = _memory.Normed(worker);
        for (int row = 0; row < _rows; row++)
        {
            _kernels.Norm(_memory.X + (row * config.Width), weight, config.Width, _epsilon, normed + (row * config.Width));
        }

        return normed;
    }

    /// <summary>A product that is added to the residual rows.</summary>
    private Product Onto(PackedLinear linear, float* x, int inputs) =>
        linear.Of(x, inputs, _rows, _memory.X, config.Width) with { Start = ProductStart.Kept };

    /// <summary>The product as a decoding step computes it, its inputs rounded for int8 weights: by every worker for itself, as with norms.</summary>
    private Product Prepared(in Product product, int worker)
    {
        if (product.Matrix.Type != WeightType.Int8)
        {
            return product with { Decoding = true };
        }

        int groups = Panel.Groups(product.Matrix.Inputs);
        short* numbers = _memory.Numbers(worker);
        float* scales = _memory.Scales(worker);
        for (int row = 0; row < _rows; row++)
        {
            _kernels.Round(product.X + (row * product.XStride), product.Matrix.Inputs, numbers + ((long)row * groups * Panel.Group), scales + (row * groups));
        }

        return product with { Decoding = true, Numbers = numbers, Scales = scales };
    }

    private void Share(int phase, int worker, in Product asked)
    {
        Product product = Prepared(asked, worker);
        int portion = Portion(product.Matrix.Panels);
        for (int first; (first = Take(phase) * portion) < product.Matrix.Panels;)
        {
            int end = Math.Min(product.Matrix.Panels, first + portion);
            _kernels.Multiply(product, first, end, compute.Scratch(worker));
        }
    }

    private void ShareGates(int phase, int worker, DecodeLayer layer, float* normed)
    {
        Product gate = Prepared(layer.Gate.Of(normed, config.Width, _rows, _memory.Gated, config.MlpWidth), worker);
        Product up = layer.Up.Of(normed, config.Width, _rows, _memory.Gated, config.MlpWidth) with { Decoding = true, Numbers = gate.Numbers, Scales = gate.Scales };
        int portion = Portion(gate.Matrix.Panels);
        for (int first; (first = Take(phase) * portion) < gate.Matrix.Panels;)
        {
            _kernels.GateUp(gate, up, first, Math.Min(gate.Matrix.Panels, first + portion), compute.Scratch(worker));
        }
    }

    /// <summary>Panels taken at once: few, so that no thread waits long for another at the end; an even number, for pairs.</summary>
    private int Portion(int panels) => Math.Clamp(panels / (compute.Team.Size * 8) / 2 * 2, 2, 32);

    /// <summary>Norms and turns a head of the new token, and puts keys and values into the cache.</summary>
    private void Place(DecodeLayer layer, int index, int row, int head, int worker)
    {
        float* from = _memory.Qkv + ((((long)row * (_heads + (2 * _groups))) + head) * _width);
        EntryPointers at = _input.Entries(row, index);
        if (head >= _heads + _groups)
        {
            new Span<float>(from, _width).CopyTo(Entry(at.Values, at, head - _heads - _groups, at.Length - 1));
            return;
        }

        if (layer.QkNorm is not null)
        {
            float* normed = _memory.Head(worker);
            _kernels.Norm(from, layer.QkNorm + (head * _width), _width, _epsilon, normed);
            from = normed;
        }

        float* to = head < _heads
            ? _memory.Queries + ((((long)row * _heads) + head) * _width)
            : (float*)at.Keys + ((((long)(head - _heads) * at.Capacity) + at.Length - 1) * _width);
        _kernels.Turn(from, _input.Cosines(row), _input.Sines(row), _width, to);
    }

    private Span<float> Entry(nint start, EntryPointers at, int group, int entry) =>
        new((float*)start + ((((long)group * at.Capacity) + entry) * _width), _width);

    private void Attend(int index, int row, int group, int run, int worker)
    {
        EntryPointers at = _input.Entries(row, index);
        int start = run * AttentionRun.Entries, count = _heads / _groups;
        if (start >= at.Length)
        {
            return;
        }

        float* queries = _memory.Group(worker);
        float scale = 1 / MathF.Sqrt(_width);
        float* own = _memory.Queries + ((((long)row * _heads) + (group * count)) * _width);
        for (int i = 0; i < count * _width; i++)
        {
            queries[i] = own[i] * scale;
        }

        long entry = ((long)group * at.Capacity) + start;
        _kernels.Attend(new AttentionRun
        {
            Queries = queries,
            Count = count,
            Width = _width,
            Keys = (float*)at.Keys + (entry * _width),
            Values = (float*)at.Values + (entry * _width),
            Beta = _input.HasMass(row, index) ? (float*)at.Beta + entry : null,
            Length = Math.Min(AttentionRun.Entries, at.Length - start),
            Parts = Part(row, group, run, 0),
            Scores = _memory.Scores(worker),
        });
    }

    private void Join(int index, int row, int head)
    {
        int count = _heads / _groups;
        float* parts = Part(row, head / count, 0, head % count);
        _kernels.Join(parts, (long)count * (_width + 2), Runs(_input.Entries(row, index).Length), _width, _memory.Attended + ((((long)row * _heads) + head) * _width));
    }

    private float* Part(int row, int group, int run, int query) =>
        _memory.Parts + (((((((long)row * _groups) + group) * _runs) + run) * (_heads / _groups)) + query) * (_width + 2);
}
