using System.Numerics;

namespace FlowMM.Model.Kernels;

/// <summary>As many values as the runtime's own vector holds, on any processor: 4 or 8.</summary>
internal readonly unsafe struct LanesPortable : ILanes<LanesPortable>
{
    private readonly Vector<float> _value;

    private LanesPortable(Vector<float> value) => _value = value;

    public static int Count => Vector<float>.Count;

    public static bool Many => false;

    public static LanesPortable Zero => new(Vector<float>.Zero);

    public static LanesPortable Of(float value) => new(new Vector<float>(value));

    public static LanesPortable Load(float* from) => new(*(Vector<float>*)from);

    public static void Load(sbyte* from, out LanesPortable first, out LanesPortable second)
    {
        Vector<int> pairs = Pairs(from);
        first = new(Vector.ConvertToSingle((pairs << 16) >> 16));
        second = new(Vector.ConvertToSingle(pairs >> 16));
    }

    public static LanesPortable OfPair(int pair) => new(Vector.AsVectorSingle(new Vector<int>(pair)));

    public static LanesPortable AddPairs(sbyte* from, LanesPortable pairs, LanesPortable sums)
    {
        Vector<int> weights = Pairs(from), numbers = Vector.AsVectorInt32(pairs._value);
        Vector<int> first = ((weights << 16) >> 16) * ((numbers << 16) >> 16), second = (weights >> 16) * (numbers >> 16);
        return new(Vector.AsVectorSingle(Vector.AsVectorInt32(sums._value) + first + second));
    }

    public static LanesPortable OfWhole(LanesPortable value) => new(Vector.ConvertToSingle(Vector.AsVectorInt32(value._value)));

    public static void Store(LanesPortable value, short* to)
    {
        Vector<int> whole = Vector.ConvertToInt32(value._value);
        for (int i = 0; i < Count; i++)
        {
            to[i] = (short)whole[i];
        }
    }

    public static void Load(ushort* from, out LanesPortable even, out LanesPortable odd)
    {
        Vector<uint> both = *(Vector<uint>*)from;
        even = new(Vector.AsVectorSingle(both << 16));
        odd = new(Vector.AsVectorSingle(both & new Vector<uint>(0xFFFF0000u)));
    }

    public static void Store(LanesPortable value, float* to) => *(Vector<float>*)to = value._value;

    public static LanesPortable Add(LanesPortable a, LanesPortable b) => new(a._value + b._value);

    public static LanesPortable Multiply(LanesPortable a, LanesPortable b) => new(a._value * b._value);

    public static LanesPortable Divide(LanesPortable a, LanesPortable b) => new(a._value / b._value);

    public static LanesPortable Max(LanesPortable a, LanesPortable b) => new(Vector.Max(a._value, b._value));

    public static LanesPortable MultiplyAdd(LanesPortable a, LanesPortable b, LanesPortable c) => new(Vector.FusedMultiplyAdd(a._value, b._value, c._value));

    public static LanesPortable Round(LanesPortable value) => new(Vector.Round(value._value));

    public static LanesPortable Scale(LanesPortable value, LanesPortable power)
    {
        Vector<int> exponent = (Vector.ConvertToInt32(power._value) + new Vector<int>(127)) << 23;
        return new(value._value * Vector.AsVectorSingle(exponent));
    }

    public static float Sum(LanesPortable value)
    {
        float sum = 0;
        for (int i = 0; i < Count; i++)
        {
            sum += value._value[i];
        }

        return sum;
    }

    public static float Largest(LanesPortable value)
    {
        float largest = value._value[0];
        for (int i = 1; i < Count; i++)
        {
            largest = MathF.Max(largest, value._value[i]);
        }

        return largest;
    }

    /// <summary>Pairs of bytes as pairs of 16 bits. A whole register is read, and half of it used: what is read ends that much before its memory does.</summary>
    private static Vector<int> Pairs(sbyte* from)
    {
        Vector.Widen(*(Vector<sbyte>*)from, out Vector<short> half, out _);
        return Vector.AsVectorInt32(half);
    }
}
