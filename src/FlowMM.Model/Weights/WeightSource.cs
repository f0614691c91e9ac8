using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Model.Weights;

/// <summary>
/// The tensors of one part of a checkpoint under the names that the layers ask for, in the model's type, on its device. Nothing is read
/// before it is asked for.
/// </summary>
internal sealed class WeightSource
{
    private readonly WeightFiles _files;
    private readonly PartLayout _layout;
    private readonly Device _device;
    private readonly ScalarType _dtype;

    /// <param name="files">The checkpoint.</param>
    /// <param name="names">The part's spellings.</param>
    /// <param name="device">Where tensors go.</param>
    /// <param name="dtype">Type that they are kept in.</param>
    /// <exception cref="CheckpointException">The part is there under none of its spellings.</exception>
    public WeightSource(WeightFiles files, PartNames names, Device device, ScalarType dtype)
    {
        (_files, _device, _dtype) = (files, device, dtype);
        _layout = names.Layouts.FirstOrDefault(l => files.Has(l.Find(names.Probe).Name)) ?? names.Layouts[0];
        _files.Holding(_layout.Find(names.Probe).Name);
    }

    private WeightSource(WeightSource other, Device device) => (_files, _layout, _device, _dtype) = (other._files, other._layout, device, other._dtype);

    /// <summary>The same tensors for another device.</summary>
    public WeightSource On(Device device) => new(this, device);

    /// <summary>Reads a tensor of a known shape. The caller owns it.</summary>
    /// <exception cref="CheckpointException">It is missing, of another shape, or not floating point.</exception>
    public Tensor Read(string name, params long[] shape)
    {
        Source source = Find(name, shape);
        Tensor target = empty(shape, _dtype, _device);
        Fill(target, source);
        return target.DetachFromDisposeScope();
    }

    /// <summary>Reads several tensors that lie one above the other, without a copy between. The caller owns the result.</summary>
    /// <param name="parts">Name and rows of each.</param>
    /// <param name="rest">The shape of a row.</param>
    /// <exception cref="CheckpointException">One is missing, of another shape, or not floating point.</exception>
    public Tensor ReadRows(IReadOnlyList<(string Name, int Rows)> parts, params long[] rest)
    {
        Source[] sources = [.. parts.Select(p => Find(p.Name, [p.Rows, .. rest]))];
        Tensor target = empty([parts.Sum(p => p.Rows), .. rest], _dtype, _device);
        long row = 0;
        foreach ((Source source, int rows) in sources.Zip(parts.Select(p => p.Rows)))
        {
            using Tensor place = target.narrow(0, row, rows);
            Fill(place, source);
            row += rows;
        }

        return target.DetachFromDisposeScope();
    }

    /// <summary>The rows of matrices that lie one above the other, to be read where they are mapped.</summary>
    /// <param name="parts">Name and rows of each.</param>
    /// <param name="width">Values of a row.</param>
    /// <exception cref="CheckpointException">One is missing, of another shape, or not floating point.</exception>
    public WeightRows Rows(IReadOnlyList<(string Name, int Rows)> parts, int width)
    {
        WeightPart[] found = [.. parts.Select(p =>
        {
            Source source = Find(p.Name, [p.Rows, width]);
            return new WeightPart(source.File, source.Place.Name, source.Place.Part * p.Rows, p.Rows);
        })];
        return new WeightRows(found, width, _files.Read);
    }

    /// <summary>Tensors that the files may hold and this model does not need, by the beginning of their names.</summary>
    public void Skip(string start)
    {
        string found = _layout.Find(start).Name;
        _files.Skip(n => n.StartsWith(found, StringComparison.Ordinal));
    }

    /// <summary>Where a tensor is, its type and shape checked, before memory is taken for it.</summary>
    private Source Find(string name, long[] shape)
    {
        WeightPlace place = _layout.Find(name);
        (string path, SafeTensorsFile file) = _files.Holding(place.Name);
        IReadOnlyList<long> found = file.ShapeOf(place.Name);
        long[] whole = [shape[0] * place.Parts, .. shape.Skip(1)];
        if (!found.SequenceEqual(whole))
        {
            throw new CheckpointException(
                path, $"tensor '{place.Name}' has the shape [{string.Join(", ", found)}]; the configuration asks for [{string.Join(", ", whole)}].");
        }

        return file.TypeOf(place.Name) is ScalarType.Float64 or ScalarType.Float32 or ScalarType.Float16 or ScalarType.BFloat16
            ? new Source(file, place)
            : throw new CheckpointException(path, $"tensor '{place.Name}' holds {file.TypeOf(place.Name)}; weights must be floating point.");
    }

    private void Fill(Tensor target, Source source)
    {
        string name = source.Place.Name;
        using Tensor flat = target.view(-1);
        if (_device.type != DeviceType.META)
        {
            source.File.Read(name, source.Place.Part * flat.numel(), flat);
        }

        _files.Read(name, flat.numel() * source.File.TypeOf(name).ElementSize());
    }

    private sealed record Source(SafeTensorsFile File, WeightPlace Place);
}
